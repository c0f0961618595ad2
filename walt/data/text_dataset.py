"""Stored text embeddings as tensors, by the key of a clip.

B clips of a batch, L text tokens of the longest caption, n those of one caption, D width of the text encoder's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from walt.core.errors import CorruptArtifactError
from walt.data.keyed_dataset import CACHE_BYTES, MemoryCache, sample_tensors
from walt.data.shards import NULL_KEY, ShardReader
from walt.data.text_tables import CAPTIONS_TABLE, read_captions


class TextDataset:
    """Stored text embeddings, and the names of the captions that they are of.

    Raises StorageError or CorruptArtifactError as ``ShardReader`` and ``read_captions`` do.
    """

    def __init__(self, text_dir: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.reader = ShardReader(text_dir)
        table = read_captions(text_dir)
        self.max_tokens = table.max_tokens
        self._names = {NULL_KEY: ("",)} | table.names
        stored = {name: name for name in self.reader.keys}  # the same strings: half the memory
        self._ids = {key: tuple(stored.get(name, name) for name in own) for key, own in table.ids.items()}
        self._ids[NULL_KEY] = (NULL_KEY,)
        self._width: int | None = None
        self._trimmed = MemoryCache(self._load, lambda found: found.nbytes, cache_bytes)
        self._width = self._trimmed[NULL_KEY].shape[1]  # loaded first: the others must have it

    def names(self, key: str) -> tuple[str, ...]:
        """The names of a clip's captions, in the order of the manifest; none of a clip without a caption."""
        return self._names.get(key, ())

    def kinds(self) -> set[tuple[str, ...]]:
        """What ``names`` gives for any of the clips that have a caption."""
        return {names for key, names in self._names.items() if names and key != NULL_KEY}

    def all_names(self) -> set[str]:
        """The names of the captions of all clips."""
        return {name for names in self.kinds() for name in names}

    def embeddings(self, keys: Sequence[str], places: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """(B, L, D) float32 embeddings, zero where padded, and their (B, L) boolean mask; of a clip without a caption,
        the empty one's.

        Args:
            places: which of its captions to take of each clip, from 0; None: the first of each.

        Raises:
            CorruptArtifactError: a key is unknown, or a caption has no embedding, or one that is not finite or has
                another shape.
        """
        places = [0] * len(keys) if places is None else places
        return self._padded([self._trimmed[self._id(key, place)] for key, place in zip(keys, places, strict=True)])

    def null(self) -> tuple[Tensor, Tensor]:
        """The unconditional input: the empty caption's (L, D) float32 embedding and (L,) mask."""
        embeddings, mask = self._padded([self._trimmed[NULL_KEY]])
        return embeddings[0], mask[0]

    def _id(self, key: str, place: int) -> str:
        """The key of a caption's embedding."""
        if key not in self._ids:
            raise CorruptArtifactError(f"{self.reader.directory / CAPTIONS_TABLE}: no clip has the key '{key}'")
        own = self._ids[key] or (NULL_KEY,)
        return own[place]

    def _padded(self, trimmed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(B, L, D) float32 and (B, L) boolean, of embeddings (n, D) without padding."""
        assert self._width is not None, "the empty caption is loaded first"
        embeddings = torch.zeros(len(trimmed), self.max_tokens, self._width)
        mask = torch.zeros(len(trimmed), self.max_tokens, dtype=torch.bool)
        for row, own in enumerate(trimmed):
            embeddings[row, : len(own)] = own
            mask[row, : len(own)] = True
        return embeddings, mask

    def _load(self, name: str) -> Tensor:
        """A caption's embedding as stored: (n, D) float16."""
        embedding = sample_tensors(self.reader, name, {"embedding"})["embedding"]
        problem = None
        if embedding.ndim != 2 or embedding.dtype != torch.float16 or not 0 < len(embedding) <= self.max_tokens:
            problem = f"not 1 to {self.max_tokens} tokens of float16"
        elif self._width not in (None, embedding.shape[1]):
            problem = f"others have the width {self._width}"
        elif not torch.isfinite(embedding).all():
            problem = "values that are not finite"
        if problem:
            shown = f"an embedding {tuple(embedding.shape)} of {embedding.dtype}"
            raise CorruptArtifactError(f"{self.reader.path(name)}: key '{name}': {shown}: {problem}")
        return embedding
