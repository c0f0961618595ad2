"""Common code of the datasets of clips, latents and text: samples are found by key in directories of tars.

A sample that is missing, has the wrong shape or is not finite raises ``CorruptArtifactError`` with its key and file:
the stages that write these artefacts refuse bad items, so one that is found here was damaged afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from walt.core.errors import CorruptArtifactError
from walt.core.sizes import Size, size_folder
from walt.data.clip_table import CLIPS_TABLE, Split, read_clip_rows
from walt.data.epoch_order import FrozenKeys
from walt.data.shards import ShardReader

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


class KeyedDataset:
    """Common base of the datasets of clips and latents: the table of keys, and the tars of one size."""

    def __init__(self, directory: Path, size: Size, split: Split) -> None:
        self.size, self.split = size, split
        self.reader = ShardReader(directory / size_folder(size))
        rows = [row for row in read_clip_rows(directory) if row.split == split and row.is_stored_in(size)]
        for row in rows:
            if row.key not in self.reader:
                raise CorruptArtifactError(f"{self.reader.directory}: no sample for key '{row.key}' of {CLIPS_TABLE}")
        self.video_keys = FrozenKeys(row.key for row in rows if row.kind == "video")
        self.image_keys = FrozenKeys(row.key for row in rows if row.kind == "image")
        self.kinds = {row.key: row.kind for row in rows}

    def corrupt(self, key: str, problem: str) -> CorruptArtifactError:
        return CorruptArtifactError(f"{self.reader.path(key)}: key '{key}': {problem}")


def sample_tensors(reader: ShardReader, key: str, names: set[str]) -> dict[str, Tensor]:
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
