"""Stored text embeddings as tensors, by key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from walt.core.errors import CorruptArtifactError
from walt.data.keyed_dataset import CACHE_BYTES, MemoryCache, sample_tensors
from walt.data.shards import NULL_KEY, ShardReader


class TextDataset:
    """Stored text embeddings. Raises StorageError or CorruptArtifactError as ``ShardReader`` does."""

    def __init__(self, text_dir: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.reader = ShardReader(text_dir)
        self._shape: torch.Size | None = None
        self._pairs = MemoryCache(self._load, lambda pair: pair[0].nbytes + pair[1].nbytes, cache_bytes)
        self._pairs[NULL_KEY]  # loaded first: the others must have its shape

    def embeddings(self, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, L, D) float32 embeddings and their (B, L) boolean mask.

        Raises:
            CorruptArtifactError: a key has no embedding, or one that is not finite or differs in shape from the null
                embedding.
        """
        pairs = [self._pairs[key] for key in keys]
        return torch.stack([e for e, _ in pairs]).float(), torch.stack([m for _, m in pairs])

    def null(self) -> tuple[Tensor, Tensor]:
        """The unconditional input: the empty caption's (L, D) float32 embedding and (L,) mask."""
        embedding, mask = self._pairs[NULL_KEY]
        return embedding.float(), mask

    def _load(self, key: str) -> tuple[Tensor, Tensor]:
        """As stored: (L, D) float16, (L,) boolean."""
        tensors = sample_tensors(self.reader, key, {"embeddings", "mask"})
        embedding, mask = tensors["embeddings"], tensors["mask"].bool()
        problem = None
        self._shape = self._shape or embedding.shape
        if embedding.ndim != 2 or embedding.shape != self._shape or mask.shape != embedding.shape[:1]:
            problem = f"embeddings {tuple(embedding.shape)}, mask {tuple(mask.shape)}; others have {tuple(self._shape)}"
        elif not torch.isfinite(embedding).all():
            problem = "embeddings that are not finite"
        if problem:
            raise CorruptArtifactError(f"{self.reader.path(key)}: key '{key}': {problem}")
        return embedding, mask
