"""Stored latents as tensors, by key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from walt.core.sizes import Size
from walt.data.clip_table import Split
from walt.data.keyed_dataset import CACHE_BYTES, KeyedDataset, MemoryCache, sample_tensors


class LatentDataset(KeyedDataset):
    """Stored, normalised latents of one size and split. Raises as ``ClipDataset`` does."""

    def __init__(self, latents_dir: Path, size: Size, split: Split, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(latents_dir, size, split)
        self._latents = MemoryCache(self._load, lambda latent: latent.nbytes, cache_bytes)
        self._shapes: dict[str, torch.Size] = {}

    def latents(self, keys: Sequence[str]) -> Tensor:
        """(B, c, t, h, w) float32; all keys of one kind. Videos have t > 1, images t = 1.

        Raises:
            KeyError: a key is not in this split.
            CorruptArtifactError: a latent is missing, not finite or not float16, or has another shape than the others
                of its kind.
        """
        return torch.stack([self._latents[key] for key in keys]).float()

    def _load(self, key: str) -> Tensor:
        kind = self.kinds[key]
        latent = sample_tensors(self.reader, key, {"latents"})["latents"]
        expected = self._shapes.setdefault(kind, latent.shape)
        if latent.dtype != torch.float16:
            raise self.corrupt(key, f"latents of {latent.dtype}, not of float16")
        if latent.ndim != 4 or latent.shape != expected or (kind == "image" and latent.shape[1] != 1):
            raise self.corrupt(key, f"latents of a {kind} shaped {tuple(latent.shape)}, others have {tuple(expected)}")
        if not torch.isfinite(latent).all():
            raise self.corrupt(key, "latents that are not finite")
        return latent
