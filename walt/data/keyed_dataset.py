"""Common code of the datasets of clips, latents and text: samples are found by key in directories of tars, and tensors
are read straight into the rows of a batch.

A sample that is missing, has the wrong shape or is not finite raises ``CorruptArtifactError`` with its key and file:
the stages that write these artefacts refuse bad items, so one that is found here was damaged afterwards.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from walt.core.errors import CorruptArtifactError
from walt.core.sizes import Size, size_folder
from walt.data.clip_table import CLIPS_TABLE, Split, read_split
from walt.data.key_index import Ids
from walt.data.shards import Members, ShardReader

_EXTENSION = "safetensors"
_TAR_HEADER = 512
"""Bytes of a member's header, which lies right before its content and begins with its name."""
_LONGEST_NAME = 99
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
"""Of floating-point tensors in safetensors files."""
_EXPONENT = {torch.float16: 0x7C00, torch.bfloat16: 0x7F80}
"""The bits that are all set in an infinity and in what is not a number."""
_BYTES_FOR_THREADS = 1 << 20
"""A batch of fewer bytes is read by the caller alone."""


class KeyedDataset:
    """Common base of the datasets of clips and latents: the table of keys, and the tars of one size."""

    def __init__(self, directory: Path, size: Size, split: Split) -> None:
        self.size, self.split = size, split
        self.reader = ShardReader(directory / size_folder(size))
        keys = read_split(directory, size, split)
        self.video_keys, self.image_keys = keys["video"], keys["image"]
        for every in (self.video_keys, self.image_keys):
            ids = every.ids()
            there = self.reader.contains(ids)
            if not there.all():
                key = every.key_of(ids[~there])
                raise CorruptArtifactError(f"{self.reader.directory}: no sample for key '{key}' of {CLIPS_TABLE}")

    def __len__(self) -> int:
        """Videos and images."""
        return len(self.video_keys) + len(self.image_keys)

    def keys(self) -> Iterator[str]:
        """Of the videos, then of the images."""
        return chain(self.video_keys, self.image_keys)

    def kind(self, ids: Ids) -> str:
        """``video`` or ``image``: what all keys with these ids are.

        Raises KeyError where one is not in this split, ValueError where they are of both kinds.
        """
        if self.video_keys.contains(ids).all():
            return "video"
        images = self.image_keys.contains(ids)
        if images.all():
            return "image"
        if (images | self.video_keys.contains(ids)).all():
            raise ValueError("videos and images in one batch")
        raise KeyError(f"{self.reader.directory}: a key is not in the split {self.split}")

    def corrupt(self, key: str, problem: str) -> CorruptArtifactError:
        """As ``ShardReader.corrupt``."""
        return self.reader.corrupt(key, problem)


@dataclass(frozen=True)
class Form:
    """Of the tensor in a safetensors file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    header: bytes
    """What precedes the values in the file."""


class TensorReader:
    """The one tensor of each sample of a directory of tars.

    Args:
        name: of the tensor in each safetensors file.
        shown: what it is called in messages.
    """

    def __init__(self, reader: ShardReader, name: str, shown: str) -> None:
        self.reader, self.name, self.shown = reader, name, shown
        self._forms: dict[int, Form] = {}  # by the size of a file: a file of this size may still have another
        self._finite = np.zeros(reader.num_members, np.bool_)  # those that were looked at

    def members(self, keys: Sequence[str], ids: Ids | None = None) -> tuple[Members, list[Form]]:
        """Where the tensors of these keys are, and the form of each. Raises CorruptArtifactError."""
        members = self.reader.members(keys, _EXTENSION, ids)
        return members, [self._forms.get(size) or self._form(members, i) for i, size in enumerate(members.sizes)]

    def fill(
        self,
        members: Members,
        forms: Sequence[Form],
        rows: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
        filled: Callable[[int], object] | None = None,
    ) -> None:
        """Read tensors of these forms, each into the bytes of a row of its length.

        Args:
            filled: is told the place of each row that was read; then the next one may use the same memory.

        Raises CorruptArtifactError: a tensor has another form, or values that are not finite.
        """
        for i in range(len(members)):
            key, row = members.keys[i], rows[i]
            head = bytearray(_TAR_HEADER + len(forms[i].header))
            count = self.reader.read_into(members.tars[i], members.offsets[i] - _TAR_HEADER, (head, row))
            name = f"{key}.{_EXTENSION}\0".encode()
            known = head.startswith(name) or len(name) > _LONGEST_NAME
            if count != len(head) + len(row) or not known or not head.endswith(forms[i].header):
                self._read_whole(key, forms[i], row)
            if not self._finite[members.rows[i]]:
                if not _is_finite(row, forms[i].dtype):
                    raise self.reader.corrupt(key, f"{self.shown} with values that are not finite")
                self._finite[members.rows[i]] = True
            if filled is not None:
                filled(i)

    def _form(self, members: Members, place: int) -> Form:
        """The form of a tensor, by the file's own header."""
        key, size = members.keys[place], members.sizes[place]
        start = bytearray(min(8, size))
        self.reader.read_into(members.tars[place], members.offsets[place], (start,))
        length = int.from_bytes(start, "little")
        header = bytearray(min(8 + length, size))
        self.reader.read_into(members.tars[place], members.offsets[place], (header,))
        try:
            about: Any = json.loads(header[8:])[self.name]
            form = Form(_DTYPES[about["dtype"]], tuple(about["shape"]), bytes(header))
            whole = about["data_offsets"] == [0, size - len(header)]
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            tensor = self._tensor(key)
            return Form(tensor.dtype, tuple(tensor.shape), b"")  # read whole each time
        self._forms[size] = form
        return form

    def _read_whole(self, key: str, form: Form, row: NDArray[np.uint8]) -> None:
        """Fill a row from a sample that is not stored as others of its size are."""
        tensor = self._tensor(key)
        if (tensor.dtype, tuple(tensor.shape)) != (form.dtype, form.shape):
            shown = f"{self.shown} {tuple(tensor.shape)} of {tensor.dtype}"
            raise self.reader.corrupt(key, f"{shown}, expected {form.shape} of {form.dtype}")
        row[:] = bytes_of(tensor)

    def _tensor(self, key: str) -> Tensor:
        """A sample's tensor, by the library."""
        members = self.reader[key]
        if _EXTENSION not in members:
            raise self.reader.corrupt(key, f"no {_EXTENSION}, only {sorted(members)}")
        try:
            tensors = load_safetensors(members[_EXTENSION])
        except SafetensorError as error:
            raise self.reader.corrupt(key, str(error)) from error
        if tensors.keys() != {self.name}:
            raise self.reader.corrupt(key, f"tensors {sorted(tensors)}, expected {[self.name]}")
        return tensors[self.name].contiguous()


def batch_tensor(shape: Sequence[int], dtype: torch.dtype, pinned: bool) -> Tensor:
    """An uninitialised tensor for a batch; ``pinned``: in memory from which a GPU copies without a detour."""
    return torch.empty(tuple(shape), dtype=dtype, pin_memory=pinned)


def bytes_of(tensor: Tensor) -> NDArray[np.uint8]:
    """The bytes of a contiguous tensor, as a flat view; of one with several dimensions, see ``rows_of``."""
    view: NDArray[np.uint8] = tensor.reshape(-1).view(torch.uint8).numpy()
    return view


def rows_of(batch: Tensor) -> NDArray[np.uint8]:
    """(B, bytes of a row), a view of a contiguous batch (B, ...)."""
    return bytes_of(batch).reshape(len(batch), -1)


def _is_finite(row: NDArray[np.uint8], dtype: torch.dtype) -> bool:
    """Whether the values in these bytes are finite."""
    exponent = _EXPONENT.get(dtype)
    if exponent is None:
        return bool(torch.isfinite(torch.from_numpy(row).view(dtype)).all())
    return bool((row.view(np.uint16) & np.uint16(exponent)).max(initial=0) < exponent)


def in_threads(count: int, num_bytes: int, work: Callable[[int, int], object]) -> None:
    """Call ``work(start, stop)`` for parts of ``range(count)``, side by side where the batch is large.

    There are as many as torch has threads, four at most: what they share is the interpreter, not the disk.
    """
    threads = min(4, torch.get_num_threads(), count)
    if threads < 2 or num_bytes < _BYTES_FOR_THREADS:
        work(0, count)
        return
    bounds = [count * part // threads for part in range(threads + 1)]
    parts = [_pool(os.getpid()).submit(work, *bound) for bound in pairwise(bounds)]
    for part in parts:
        part.result()


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads that read, of one process: they do not outlive a fork."""
    return ThreadPoolExecutor(4, thread_name_prefix="read")
