"""Common code of the datasets of clips, latents and text: samples are found by key in directories of tars, and tensors
are read straight into the rows of a batch.

A sample that is missing, has the wrong shape or is not finite raises ``CorruptArtifactError`` with its key and file:
the stages that write these artefacts refuse bad items, so one that is found here was damaged afterwards.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from walt.data.open_tars import Readable, read_unchanged
from walt.data.shards import Members, ShardReader
from walt.data.tar_places import TAR_HEADER, is_member

_EXTENSION = "safetensors"
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
        self._seen = np.zeros(reader.num_members, np.bool_)  # those that were read, and are finite

    def members(self, keys: Sequence[str], ids: Ids | None = None) -> tuple[Members, list[Form]]:
        """Where the tensors of these keys are, and the form of each. Raises CorruptArtifactError."""
        members = self.reader.members(keys, _EXTENSION, ids)
        if len(self._seen) != self.reader.num_members:  # it had to look again at what is in the tars
            self._seen = np.zeros(self.reader.num_members, np.bool_)
        ahead = self.reader.reads_ahead
        for place, row in enumerate(members.rows):
            if ahead or not self._seen[row]:
                self.reader.will_need(members, place)
        return members, [self._forms.get(size) or self._form(members, i) for i, size in enumerate(members.sizes)]

    def read(
        self,
        members: Members,
        forms: Sequence[Form],
        room: Callable[[int, int], NDArray[np.uint8]],
        put: Callable[[int, NDArray[np.uint8]], object] | None = None,
        first: int = 0,
    ) -> None:
        """Read the bytes of each tensor, which has this form, to where they belong.

        Args:
            room: where so many bytes of the tensor at a place are to be; contiguous.
            put: is called when the bytes of the one at a place are there, again where they are read again; None: that
                is all.
            first: the place of the first one.

        Raises:
            CorruptArtifactError: a tensor has another form, or values that are not finite; or a tar is cut short, or
                was changed.
            StorageError: a tar cannot be read.
        """
        files = self.reader.files(members)
        read_unchanged(files.values(), lambda: self._read(files, members, forms, room, put, first))

    def _read(
        self,
        files: Mapping[int, Readable],
        members: Members,
        forms: Sequence[Form],
        room: Callable[[int, int], NDArray[np.uint8]],
        put: Callable[[int, NDArray[np.uint8]], object] | None,
        first: int,
    ) -> None:
        """See ``read``; the tars of these members are open."""
        seen, keys = self._seen, members.keys
        before = memoryview(bytearray(TAR_HEADER + max((len(form.header) for form in forms), default=0)))
        each = zip(members.rows, members.tars, members.offsets, members.sizes, forms, strict=True)
        for place, (row, tar, offset, size, form) in enumerate(each):
            length, usual = len(form.header), False
            if length:
                head, values = before[: TAR_HEADER + length], room(first + place, size - length)
                files[tar].read_into(offset - TAR_HEADER, head, values.data)
                usual = head[TAR_HEADER:] == form.header and is_member(bytes(head), keys[place], _EXTENSION)
            if not usual:
                found = self._values(keys[place], form)
                values = room(first + place, len(found))
                values[:] = found
            if not seen[row]:
                if not _is_finite(values, form.dtype):
                    raise self.reader.corrupt(keys[place], f"{self.shown} with values that are not finite")
                seen[row] = True
            if put is not None:
                put(first + place, values)

    def _form(self, members: Members, place: int) -> Form:
        """The form of a tensor, by the file's own header."""
        content, size = self.reader.content(members, place), members.sizes[place]
        length = 8 + int.from_bytes(content[:8].tobytes(), "little")
        header = content[:length].tobytes()
        try:
            about: Any = json.loads(header[8:])
            own = about[self.name]
            form = Form(_DTYPES[own["dtype"]], tuple(own["shape"]), header)
            usual = len(about) == 1 and own["data_offsets"] == [0, size - length]
            usual = usual and math.prod(form.shape) * form.dtype.itemsize == size - length
        except (ValueError, KeyError, TypeError):
            usual = False
        if not usual:  # the library says what it is; it is read so each time
            tensor = self._tensor(members.keys[place])
            return Form(tensor.dtype, tuple(tensor.shape), b"")
        self._forms[size] = form
        return form

    def _values(self, key: str, form: Form) -> NDArray[np.uint8]:
        """The bytes of a tensor that is not stored as others of its size are."""
        tensor = self._tensor(key)
        if (tensor.dtype, tuple(tensor.shape)) != (form.dtype, form.shape):
            shown = f"{self.shown} {tuple(tensor.shape)} of {tensor.dtype}"
            raise self.reader.corrupt(key, f"{shown}, expected {form.shape} of {form.dtype}")
        return bytes_of(tensor)

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


def distinct(forms: Sequence[Form]) -> list[int]:
    """Places at which each of these forms is: usually one of all."""
    return list({id(form): place for place, form in enumerate(forms)}.values())


def batch_tensor(shape: Sequence[int], dtype: torch.dtype, pinned: bool) -> Tensor:
    """An uninitialised tensor for a batch; ``pinned``: in memory from which a GPU copies without a detour."""
    return torch.empty(tuple(shape), dtype=dtype, pin_memory=pinned)


def bytes_of(tensor: Tensor) -> NDArray[np.uint8]:
    """The bytes of a contiguous tensor, as a flat view."""
    view: NDArray[np.uint8] = tensor.reshape(-1).view(torch.uint8).numpy()
    return view


def rows_of(batch: Tensor) -> NDArray[np.uint8]:
    """(B, bytes of a row), a view of a contiguous batch (B, ...)."""
    return bytes_of(batch).reshape(len(batch), -1)


def halves_at(values: NDArray[np.uint8]) -> Tensor:
    """The float16 values, one after another, whose bytes these are: not to be written to."""
    return torch.from_numpy(values.view(np.float16))


with warnings.catch_warnings(action="ignore"):  # torch says once that such a tensor is not to be written to
    halves_at(np.frombuffer(b"\0\0", np.uint8))


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
