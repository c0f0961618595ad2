"""Stored text embeddings as tensors, by the key of a clip.

B clips of a batch, L text tokens of the longest caption, n those of one caption, D width of the text encoder's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from walt.core.errors import CorruptArtifactError
from walt.data.key_index import Ids, ids_of, text_of
from walt.data.keyed_dataset import Form, TensorReader, batch_tensor, distinct, halves_at, in_threads, rows_of
from walt.data.shards import NULL_KEY, Members, ShardReader
from walt.data.text_tables import CAPTIONS_TABLE, read_captions

_NULL = ids_of([NULL_KEY])


class TextDataset:
    """Stored text embeddings, and the names of the captions that they are of.

    Args:
        pinned: batches are in memory from which a GPU copies without a detour.

    Raises StorageError or CorruptArtifactError as ``ShardReader`` and ``read_captions`` do.
    """

    def __init__(self, text_dir: Path, pinned: bool = False) -> None:
        self.reader, self.table, self.pinned = ShardReader(text_dir), read_captions(text_dir), pinned
        self.max_tokens = self.table.max_tokens
        self._tensors = TensorReader(self.reader, "embedding", "an embedding")
        self._width: int | None = None
        _, (form,) = self._forms([NULL_KEY], _NULL)  # looked at first: the others must have its width
        self._width = form.shape[1]

    def names(self, key: str) -> tuple[str, ...]:
        """The names of a clip's captions, in the order of the manifest; none of a clip without a caption."""
        return self.names_of([key])[0]

    def names_of(self, keys: Sequence[str]) -> list[tuple[str, ...]]:
        """``names`` of each key."""
        rows = self.table.rows(keys).tolist()
        return [self._names_at(row, key) for row, key in zip(rows, keys, strict=True)]

    def _names_at(self, row: int, key: str) -> tuple[str, ...]:
        if row >= 0:
            return self.table.names(row)
        return ("",) if key == NULL_KEY else ()

    def kinds(self) -> set[tuple[str, ...]]:
        """What ``names`` gives for any of the clips that have a caption."""
        return {names for names in self.table.kinds if names}

    def all_names(self) -> set[str]:
        """The names of the captions of all clips."""
        return {name for names in self.kinds() for name in names}

    def embeddings(
        self, keys: Sequence[str], places: Sequence[int] | None = None, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """(B, L, D) embeddings, zero where padded, and their (B, L) boolean mask; of a clip without a caption, and for
        the key ``null``, the empty one's.

        Args:
            places: which of its captions to take of each clip, from 0; None: the first of each.
            dtype: of the embeddings, which are stored as float16.

        Raises:
            CorruptArtifactError: a key is unknown, or a caption has no embedding, or one that is not finite or has
                another shape.
        """
        rows = self.table.rows(keys)
        for key, row in zip(keys, rows.tolist(), strict=True):
            if row < 0 and key != NULL_KEY:
                raise CorruptArtifactError(f"{self.reader.directory / CAPTIONS_TABLE}: no clip has the key '{key}'")
        return self._padded(*self._captions(rows, np.zeros(len(keys), np.int64) if places is None else places), dtype)

    def null(self) -> tuple[Tensor, Tensor]:
        """The unconditional input: the empty caption's (L, D) float32 embedding and (L,) mask."""
        embeddings, mask = self._padded([NULL_KEY], _NULL, torch.float32)
        return embeddings[0], mask[0]

    def _captions(self, rows: NDArray[np.int64], places: ArrayLike) -> tuple[list[str], Ids]:
        """The keys of these captions' embeddings, and their ids; the empty one's of a row -1."""
        first, end = (self.table.starts[rows + after].astype(np.int64) for after in (0, 1))
        there = (rows >= 0) & (end > first)
        captions = first + np.asarray(places)
        if (captions[there] >= end[there]).any():
            raise IndexError("a clip has no caption at this place")
        ids = np.tile(_NULL, (len(rows), 1))
        ids[there] = self.table.ids[captions[there]]
        names = [text_of(*halves) for halves in ids.tolist()]
        return [name if known else NULL_KEY for name, known in zip(names, there.tolist(), strict=True)], ids

    def _padded(self, names: Sequence[str], ids: Ids, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(B, L, D) embeddings and (B, L) mask of the captions with these ids."""
        members, forms = self._forms(names, ids)
        assert self._width is not None, "the empty caption is looked at first"
        width = self._width
        batch = batch_tensor((len(names), self.max_tokens, width), dtype, self.pinned)
        lengths = [form.shape[0] for form in forms]

        rows, flat = rows_of(batch), batch.flatten(1)

        def room(place: int, count: int) -> NDArray[np.uint8]:
            rows[place, count:] = 0
            return rows[place, :count]

        def put(place: int, values: NDArray[np.uint8]) -> None:
            length = len(values) // 2
            flat[place, :length].copy_(halves_at(values))
            rows[place, dtype.itemsize * length :] = 0

        def fill(start: int, stop: int) -> None:
            own, of_part = members.part(start, stop), forms[start:stop]
            if dtype == torch.float16:
                self._tensors.read(own, of_part, room, first=start)
            else:
                scratch = np.empty(2 * self.max_tokens * width, np.uint8)
                self._tensors.read(own, of_part, lambda _, count: scratch[:count], put, start)

        in_threads(len(names), batch.nbytes, fill)
        return batch, torch.arange(self.max_tokens) < torch.tensor(lengths)[:, None]

    def _forms(self, names: Sequence[str], ids: Ids) -> tuple[Members, list[Form]]:
        """Where the embeddings are, each of 1 to L tokens of float16, (n, D)."""
        members, forms = self._tensors.members(names, ids)
        for place in distinct(forms):
            name, form, problem = names[place], forms[place], None
            if len(form.shape) != 2 or form.dtype != torch.float16 or not 0 < form.shape[0] <= self.max_tokens:
                problem = f"not 1 to {self.max_tokens} tokens of float16"
            elif self._width not in (None, form.shape[1]):
                problem = f"others have the width {self._width}"
            if problem:
                raise self.reader.corrupt(name, f"an embedding {form.shape} of {form.dtype}: {problem}")
        return members, forms
