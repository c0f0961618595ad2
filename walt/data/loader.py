"""Clips, latents and text embeddings as tensors, found by key in side-by-side tar directories.

What is missing, misshapen or not finite is a ``CorruptArtifactError`` that names the key and the file: the stages that
write these artefacts refuse bad items, so one that is met here was damaged afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from walt.core.errors import CorruptArtifactError
from walt.core.images import Size
from walt.data.clips import CLIPS_TABLE, decode_members, pixels, read_clip_rows, size_folder
from walt.data.order import FrozenKeys
from walt.data.shards import ShardReader

Split = Literal["train", "held_out"]

NULL_KEY = "null"
"""The key of the empty caption's embedding."""
CACHE_BYTES = 1 << 30
"""How much of a dataset is kept in memory, decoded."""

T = TypeVar("T")


class _MemoryCache(Generic[T]):
    """Values by key, kept until ``limit`` bytes are used; later ones are loaded each time.

    Nothing is evicted: where each key is met once an epoch, that hits more often than throwing out the oldest.
    """

    def __init__(self, load: Callable[[str], T], size: Callable[[T], int], limit: int) -> None:
        self._load, self._size, self._left = load, size, limit
        self._values: dict[str, T] = {}

    def __getitem__(self, key: str) -> T:
        if key in self._values:
            return self._values[key]
        value = self._load(key)
        size = self._size(value)
        if size <= self._left:
            self._left -= size
            self._values[key] = value
        return value


class _KeyedDataset:
    """What clips and latents share: the table of keys, and the tars of one size."""

    def __init__(self, directory: Path, size: Size, split: Split) -> None:
        self.size, self.split = size, split
        self.reader = ShardReader(directory / size_folder(size))
        rows = [row for row in read_clip_rows(directory) if row.split == split and row.is_stored_in(size)]
        for row in rows:
            if row.key not in self.reader:
                raise CorruptArtifactError(f"{self.reader.directory}: no sample for key '{row.key}' of {CLIPS_TABLE}")
        self.video_keys = FrozenKeys(row.key for row in rows if row.kind == "video")
        self.image_keys = FrozenKeys(row.key for row in rows if row.kind == "image")
        self._kinds = {row.key: row.kind for row in rows}

    def _corrupt(self, key: str, problem: str) -> CorruptArtifactError:
        return CorruptArtifactError(f"{self.reader.path(key)}: key '{key}': {problem}")


def _tensors(reader: ShardReader, key: str, names: set[str]) -> dict[str, Tensor]:
    """The tensors of a sample's safetensors member, which must have exactly these names."""
    if key not in reader:
        raise CorruptArtifactError(f"{reader.directory}: no sample for key '{key}'")
    members = reader[key]
    if "safetensors" not in members:
        raise CorruptArtifactError(f"{reader.path(key)}: key '{key}': no safetensors, only {sorted(members)}")
    try:
        tensors = load_safetensors(members["safetensors"])
    except SafetensorError as error:
        raise CorruptArtifactError(f"{reader.path(key)}: key '{key}': {error}") from error
    if tensors.keys() != names:
        problem = f"tensors {sorted(tensors)}, expected {sorted(names)}"
        raise CorruptArtifactError(f"{reader.path(key)}: key '{key}': {problem}")
    return dict(tensors)


class ClipDataset(_KeyedDataset):
    """Stored clips of one size and split.

    Args:
        cache_bytes: decoded clips are kept in memory until so much is used.

    Raises:
        StorageError: the tars' index or the table of clips is missing.
        CorruptArtifactError: a tar or the table is damaged, or they do not fit together.
    """

    def __init__(self, clips_dir: Path, size: Size, split: Split, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(clips_dir, size, split)
        self._clips = _MemoryCache(self._decode, lambda clip: clip.nbytes, cache_bytes)

    def frames(self, keys: Sequence[str], starts: Sequence[int], count: int) -> Tensor:
        """``count`` frames of each clip from its start on: (B, 3, count, H, W) float32 in [-1, 1].

        Raises:
            ValueError: the span is not inside the clip.
            CorruptArtifactError: the clip cannot be decoded, or has another size.
        """
        spans = []
        for key, start in zip(keys, starts, strict=True):
            clip = self.clip(key)  # (T, H, W, 3)
            if not 0 <= start <= len(clip) - count:
                raise ValueError(f"key '{key}': frames {start} .. {start + count - 1} of a clip of {len(clip)} frames")
            spans.append(clip[start : start + count])
        return pixels(spans)

    def clip(self, key: str) -> NDArray[np.uint8]:
        """The whole clip, (T, H, W, 3) RGB; an image has T = 1. Not to be written to."""
        return self._clips[key]

    def _decode(self, key: str) -> NDArray[np.uint8]:
        members = self.reader[key]
        expected = "png" if self._kinds[key] == "image" else "mp4"
        if expected not in members:
            raise self._corrupt(key, f"no {expected}, only {sorted(members)}")
        try:
            clip = decode_members(members)
        except ValueError as error:
            raise self._corrupt(key, str(error)) from error
        if clip.shape[1:] != (*self.size, 3):
            raise self._corrupt(key, f"a picture of {clip.shape[1:3]}, expected {self.size}")
        return clip


class LatentDataset(_KeyedDataset):
    """Stored, normalised latents of one size and split. Raises as ``ClipDataset`` does."""

    def __init__(self, latents_dir: Path, size: Size, split: Split, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(latents_dir, size, split)
        self._latents = _MemoryCache(self._load, lambda latent: latent.nbytes, cache_bytes)
        self._shapes: dict[str, torch.Size] = {}

    def latents(self, keys: Sequence[str]) -> Tensor:
        """(B, c, t, h, w) float32; all keys of one kind. Videos have t > 1, images t = 1.

        Raises:
            KeyError: a key is not of this split.
            CorruptArtifactError: a latent is missing, not finite, or shaped unlike the others of its kind.
        """
        return torch.stack([self._latents[key] for key in keys]).float()

    def _load(self, key: str) -> Tensor:
        kind = self._kinds[key]
        latent = _tensors(self.reader, key, {"latents"})["latents"]
        expected = self._shapes.setdefault(kind, latent.shape)
        if latent.ndim != 4 or latent.shape != expected or (kind == "image" and latent.shape[1] != 1):
            raise self._corrupt(key, f"latents of a {kind} shaped {tuple(latent.shape)}, others have {tuple(expected)}")
        if not torch.isfinite(latent).all():
            raise self._corrupt(key, "latents that are not finite")
        return latent


class TextDataset:
    """Stored text embeddings. Raises StorageError or CorruptArtifactError as ``ShardReader`` does."""

    def __init__(self, text_dir: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.reader = ShardReader(text_dir)
        self._shape: torch.Size | None = None
        self._pairs = _MemoryCache(self._load, lambda pair: pair[0].nbytes + pair[1].nbytes, cache_bytes)
        self._pairs[NULL_KEY]  # first: its shape is what the others must have

    def embeddings(self, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, L, D) float32 embeddings and their (B, L) boolean mask.

        Raises:
            CorruptArtifactError: a key has none, or one that is not finite or shaped unlike the null embedding.
        """
        pairs = [self._pairs[key] for key in keys]
        return torch.stack([e for e, _ in pairs]).float(), torch.stack([m for _, m in pairs])

    def null(self) -> tuple[Tensor, Tensor]:
        """The empty caption's (L, D) float32 embedding and (L,) mask: the unconditional input."""
        embedding, mask = self._pairs[NULL_KEY]
        return embedding.float(), mask

    def _load(self, key: str) -> tuple[Tensor, Tensor]:
        """As stored: (L, D) float16, (L,) boolean."""
        tensors = _tensors(self.reader, key, {"embeddings", "mask"})
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
