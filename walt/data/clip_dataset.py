"""Stored clips as tensors, by key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from walt.core.sizes import Size
from walt.data.clip_pixels import decode_members, pixels
from walt.data.clip_table import Split
from walt.data.key_index import ids_of
from walt.data.keyed_dataset import KeyedDataset

CACHE_BYTES = 1 << 30
"""Bytes of decoded samples of a dataset that are kept in memory."""

T = TypeVar("T")


class MemoryCache(Generic[T]):
    """Values by key, kept until ``limit`` bytes are used; later ones are loaded each time.

    Nothing is evicted: if each key is used once per epoch, that gives more hits than removing the oldest.
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


class ClipDataset(KeyedDataset):
    """Stored clips of one size and split.

    Args:
        cache_bytes: decoded clips are kept in memory until they use this many bytes.

    Raises:
        StorageError: the tars' index or the table of clips is missing.
        CorruptArtifactError: a tar or the table is damaged, or they do not fit together.
    """

    def __init__(self, clips_dir: Path, size: Size, split: Split, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(clips_dir, size, split)
        self._clips = MemoryCache(self._decode, lambda clip: clip.nbytes, cache_bytes)

    def frames(self, keys: Sequence[str], starts: Sequence[int], count: int) -> Tensor:
        """``count`` frames of each clip, beginning at its start: (B, 3, count, H, W) float32 in [-1, 1].

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
        """The whole clip, (T, H, W, 3) RGB; an image has T = 1. Callers must not modify it."""
        return self._clips[key]

    def _decode(self, key: str) -> NDArray[np.uint8]:
        expected = "png" if self.kind(ids_of([key])) == "image" else "mp4"
        members = self.reader[key]
        if expected not in members:
            raise self.corrupt(key, f"no {expected}, only {sorted(members)}")
        try:
            clip = decode_members(members)
        except ValueError as error:
            raise self.corrupt(key, str(error)) from error
        if clip.shape[1:] != (*self.size, 3):
            raise self.corrupt(key, f"a picture of {clip.shape[1:3]}, expected {self.size}")
        return clip
