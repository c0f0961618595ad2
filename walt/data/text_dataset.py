"""Stored text embeddings as tensors, by key.

B clips of a batch, K captions of a clip, L text tokens, D width of the text encoder's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from walt.core.errors import CorruptArtifactError
from walt.data.keyed_dataset import CACHE_BYTES, MemoryCache, sample_tensors
from walt.data.shards import NULL_KEY, ShardReader
from walt.data.text_tables import CAPTIONS_TABLE, read_caption_names


class TextDataset:
    """Stored text embeddings, and the names of the captions that they are of.

    Raises StorageError or CorruptArtifactError as ``ShardReader`` and ``read_caption_names`` do.
    """

    def __init__(self, text_dir: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.reader = ShardReader(text_dir)
        names = {NULL_KEY: ("",)} | read_caption_names(text_dir)
        self._names = {key: names[key] for key in self.reader.keys if key in names}  # the same strings: half the memory
        self._shape: torch.Size | None = None
        self._pairs = MemoryCache(self._load, lambda pair: pair[0].nbytes + pair[1].nbytes, cache_bytes)
        self._pairs[NULL_KEY]  # loaded first: the others must have its shape

    def names(self, key: str) -> tuple[str, ...]:
        """The names of a clip's captions, in the order of their embeddings; none of a clip without a caption."""
        return self._names.get(key, ())

    def kinds(self) -> set[tuple[str, ...]]:
        """What ``names`` gives for any of the clips that have a caption."""
        return {names for key, names in self._names.items() if key != NULL_KEY}

    def all_names(self) -> set[str]:
        """The names of the captions of all clips."""
        return {name for names in self.kinds() for name in names}

    def embeddings(self, keys: Sequence[str], places: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """(B, L, D) float32 embeddings and their (B, L) boolean mask; of a clip without a caption, the empty one's.

        Args:
            places: which of its captions to take of each clip, from 0; None: the first of each.

        Raises:
            CorruptArtifactError: a key has no embeddings, or others than one for each caption, or some that are not
                finite or differ in shape from the null embedding.
        """
        places = [0] * len(keys) if places is None else places
        found = [self._one(key, place) for key, place in zip(keys, places, strict=True)]
        return torch.stack([e for e, _ in found]).float(), torch.stack([m for _, m in found])

    def null(self) -> tuple[Tensor, Tensor]:
        """The unconditional input: the empty caption's (L, D) float32 embedding and (L,) mask."""
        embedding, mask = self._one(NULL_KEY, 0)
        return embedding.float(), mask

    def _one(self, key: str, place: int) -> tuple[Tensor, Tensor]:
        """(L, D) float16, (L,) boolean."""
        embeddings, mask = self._pairs[key]
        if not len(embeddings):
            embeddings, mask = self._pairs[NULL_KEY]
        return embeddings[place], mask[place]

    def _load(self, key: str) -> tuple[Tensor, Tensor]:
        """All captions of a clip, as stored: (K, L, D) float16, (K, L) boolean."""
        tensors = sample_tensors(self.reader, key, {"embeddings", "mask"})
        embeddings, mask = tensors["embeddings"], tensors["mask"].bool()
        problem = None
        self._shape = self._shape or embeddings.shape[1:]
        shapes = f"embeddings {tuple(embeddings.shape)}, mask {tuple(mask.shape)}"
        if embeddings.ndim != 3:
            problem = f"{shapes}, which is not one of each caption: run encode-text again"
        elif embeddings.shape[1:] != self._shape or mask.shape != embeddings.shape[:2]:
            problem = f"{shapes}; a caption's in others have {tuple(self._shape)}"
        elif len(embeddings) != len(self.names(key)):
            problem = f"{len(embeddings)} embeddings, but {CAPTIONS_TABLE} has {len(self.names(key))} captions"
        elif not torch.isfinite(embeddings).all():
            problem = "embeddings that are not finite"
        if problem:
            raise CorruptArtifactError(f"{self.reader.path(key)}: key '{key}': {problem}")
        return embeddings, mask
