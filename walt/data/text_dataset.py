"""Stored text embeddings as tensors, by the key of a clip.

B clips of a batch, L text tokens of the longest caption, n those of one caption, D width of the text encoder's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from walt.core.errors import CorruptArtifactError
from walt.data.keyed_dataset import Form, TensorReader, batch_tensor, in_threads, rows_of
from walt.data.shards import NULL_KEY, Members, ShardReader
from walt.data.text_tables import CAPTIONS_TABLE, read_captions


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
        _, (form,) = self._forms([NULL_KEY])  # looked at first: the others must have its width
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
        rows = self.table.rows(keys).tolist()
        of_clips = [0] * len(keys) if places is None else places
        return self._padded([self._id(*one) for one in zip(keys, rows, of_clips, strict=True)], dtype)

    def null(self) -> tuple[Tensor, Tensor]:
        """The unconditional input: the empty caption's (L, D) float32 embedding and (L,) mask."""
        embeddings, mask = self._padded([NULL_KEY], torch.float32)
        return embeddings[0], mask[0]

    def _id(self, key: str, row: int, place: int) -> str:
        """The key of a caption's embedding."""
        if row < 0:
            if key == NULL_KEY:
                return NULL_KEY
            raise CorruptArtifactError(f"{self.reader.directory / CAPTIONS_TABLE}: no clip has the key '{key}'")
        return (self.table.captions(row) or (NULL_KEY,))[place]

    def _padded(self, names: Sequence[str], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(B, L, D) embeddings and (B, L) mask of the captions with these ids."""
        members, forms = self._forms(names)
        assert self._width is not None, "the empty caption is looked at first"
        width = self._width
        batch = batch_tensor((len(names), self.max_tokens, width), dtype, self.pinned)
        lengths = [form.shape[0] for form in forms]

        def fill(start: int, stop: int) -> None:
            own, sizes = lengths[start:stop], [2 * width * length for length in lengths[start:stop]]
            if dtype == torch.float16:
                rows = [row[:size] for row, size in zip(rows_of(batch[start:stop]), sizes, strict=True)]
                self._tensors.fill(members.part(start, stop), forms[start:stop], rows)
                for i, length in enumerate(own, start):
                    batch[i, length:].zero_()
                return
            stored = torch.empty(max(own), width, dtype=torch.float16)  # one after another: it stays near the processor
            values = rows_of(stored).reshape(-1)

            def filled(i: int) -> None:
                batch[start + i, : own[i]].copy_(stored[: own[i]])
                batch[start + i, own[i] :].zero_()

            self._tensors.fill(members.part(start, stop), forms[start:stop], [values[:size] for size in sizes], filled)

        in_threads(len(names), batch.nbytes, fill)
        return batch, torch.arange(self.max_tokens) < torch.tensor(lengths)[:, None]

    def _forms(self, names: Sequence[str]) -> tuple[Members, list[Form]]:
        """Where the embeddings are, each of 1 to L tokens of float16, (n, D)."""
        members, forms = self._tensors.members(names)
        for name, form in zip(names, forms, strict=True):
            problem = None
            if len(form.shape) != 2 or form.dtype != torch.float16 or not 0 < form.shape[0] <= self.max_tokens:
                problem = f"not 1 to {self.max_tokens} tokens of float16"
            elif self._width not in (None, form.shape[1]):
                problem = f"others have the width {self._width}"
            if problem:
                raise self.reader.corrupt(name, f"an embedding {form.shape} of {form.dtype}: {problem}")
        return members, forms
