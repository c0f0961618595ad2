"""Where each member lies in a directory of tars: read from the tars' headers once per file and machine.

What was read is kept in an Arrow file in the cache folder (``walt.core.verified_files``), which is used by memory map.
It holds for the tars whose SHA-256 it names; those that changed since are read again. Readers compare the name in a
member's header with the key, so no damage of that file gives a sample for another.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import atomic_write
from walt.core.verified_files import cache_folder, cache_name
from walt.data.key_index import Ids, KeyIndex, ids_of, is_plain, numbers_in, sorted_order, text_of

EXTENSIONS = frozenset({"mp4", "png", "json", "safetensors"})
"""Extensions of the members that a tar may contain. A list of what is allowed excludes pickles under any name."""
KEY = re.compile(r"(?!__)[0-9A-Za-z_-]+")  # no dot (names split at the first), no folder, no webdataset metadata

TAR_HEADER = 512
"""Bytes of a member's header, which lies right before its content and begins with its name."""
_LONGEST_NAME = 100
_ORDERED = sorted(EXTENSIONS)
_FORM = "1"
_KEPT_FROM = 4096
"""Members of a directory from which on they are worth a file."""
Samples = dict[str, dict[str, tuple[int, int]]]
"""key -> extension -> (offset, size) of a member in its tar, in bytes."""
_COLUMNS: dict[str, type[np.generic]] = {
    "upper": np.uint64, "lower": np.uint64, "tar": np.uint32, "offset": np.uint64, "size": np.uint64,
    "extension": np.uint8,
}  # fmt: skip


class Record(Protocol):
    """What an index says about a tar."""

    @property
    def shard(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Places:
    """The members of all tars of a directory, sorted by key and extension. N members."""

    columns: dict[str, NDArray[Any]]
    """``upper`` and ``lower`` halves of the key's id; number of the ``tar``; ``offset`` and ``size`` of the content in
    it, in bytes; ``extension``, its place in the sorted ``EXTENSIONS``. Each (N,)."""
    odd: dict[str, str]
    """Keys that are not plain (``walt.data.key_index``), by their id as text."""
    kept: bool = False
    """Whether this was read from the cache, not from the tars."""

    @cached_property
    def index(self) -> KeyIndex:
        return KeyIndex(self.columns["upper"], self.columns["lower"])

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, ids: Ids, extension: str) -> NDArray[np.int64]:
        """The row of each key's member with this extension; -1 where there is none."""
        found = self.index.find(ids)
        if not len(self):
            return found
        wanted, own = _ORDERED.index(extension), self.columns["extension"]
        for place in np.flatnonzero((found >= 0) & (own[found] != wanted)):
            same = self.rows_of(ids[place])
            having = [row for row in same if own[row] == wanted]
            found[place] = having[0] if having else -1
        return found

    def rows_of(self, one: NDArray[np.uint64]) -> range:
        """The rows of all members of a key, given its id."""
        (first,) = self.index.find(one[None])
        if first < 0:
            return range(0)
        stop = first + 1
        while stop < len(self) and self.index.upper[stop] == one[0] and self.index.lower[stop] == one[1]:
            stop += 1
        return range(int(first), stop)

    def extension(self, row: int) -> str:
        """Of a member."""
        return _ORDERED[int(self.columns["extension"][row])]

    def keys(self) -> tuple[str, ...]:
        """All keys, in stored order: by tar, then by the place in it."""
        upper, lower = self.index.upper, self.index.lower
        firsts = np.flatnonzero(np.r_[True, (upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])][: len(self)])
        begins = np.minimum.reduceat(self.columns["offset"], firsts) if len(firsts) else firsts
        stored = firsts[np.lexsort((begins, self.columns["tar"][firsts]))]
        texts = (text_of(*halves) for halves in zip(upper[stored].tolist(), lower[stored].tolist(), strict=True))
        return tuple(self.odd.get(text, text) for text in texts)


def places_of(
    directory: Path, records: Sequence[Record], *, again: bool = False, read: Callable[[str], Samples] | None = None
) -> Places:
    """Where the members of a directory's tars are, which were compared with these records.

    Args:
        again: the headers of all tars are read, whatever is kept of them.
        read: what gives the members of the tar with a name, as ``members_of``; None: from the tar in the directory.

    Raises:
        CorruptArtifactError: a tar contains a forbidden member, another number of samples than its record says, or a
            key that is also in another.
    """
    file = cache_folder() / "places" / f"{cache_name(directory)}.arrow"
    digests = [record.sha256 for record in records]
    alike = len(set(digests)) != len(digests)  # they have the same keys, or none
    kept = None if again or alike else _read(file)
    if kept is not None and kept[1] == digests:
        return kept[0]
    parts, odd = [], dict[str, str]()
    known: dict[str, int] = {}
    if kept is not None:
        known = {digest: number for number, digest in enumerate(kept[1])}
        parts.append(_taken_over(kept[0].columns, [known.get(digest, -1) for digest in digests], len(kept[1])))
        odd |= kept[0].odd
    for number, record in enumerate(records):
        if record.sha256 not in known:
            samples = read(record.shard) if read else members_of(directory / record.shard)
            parts.append(_scanned(directory / record.shard, samples, number, record.count, odd))
    places = _together(parts, odd)
    _check_unique(places, directory, records)
    if len(places) >= _KEPT_FROM or read is not None:
        _write(file, places, digests)
    return places


def _taken_over(columns: dict[str, NDArray[Any]], olds: list[int], count: int) -> dict[str, NDArray[Any]]:
    """The members of the tars that are still there, which have new numbers. Args: olds: the old number of each tar."""
    numbers = np.full(count, -1, np.int64)
    for number, old in enumerate(olds):
        if old >= 0:
            numbers[old] = number
    tars = numbers[columns["tar"]]
    stay = tars >= 0
    return {name: (tars if name == "tar" else values)[stay].astype(_COLUMNS[name]) for name, values in columns.items()}


def _scanned(path: Path, samples: Samples, number: int, count: int, odd: dict[str, str]) -> dict[str, NDArray[Any]]:
    """The members of one tar. Its keys that are not plain are added to ``odd``."""
    if len(samples) != count:
        raise CorruptArtifactError(f"{path}: {len(samples)} samples, but the index says {count}")
    ids = ids_of(samples)
    odd |= {text_of(*own): key for key, own in zip(samples, ids.tolist(), strict=True) if not is_plain(key)}
    numbers = [len(members) for members in samples.values()]
    flat = [(offset, size, _ORDERED.index(extension)) for members in samples.values() for extension, (offset, size) in
            members.items()]  # fmt: skip
    offsets, sizes, extensions = zip(*flat, strict=True) if flat else ((), (), ())
    columns = {
        "upper": np.repeat(ids[:, 0], numbers), "lower": np.repeat(ids[:, 1], numbers), "tar": [number] * len(flat),
        "offset": offsets, "size": sizes, "extension": extensions,
    }  # fmt: skip
    return {name: np.array(values, _COLUMNS[name]) for name, values in columns.items()}


def _together(parts: list[dict[str, NDArray[Any]]], odd: dict[str, str]) -> Places:
    """The members of several tars, sorted."""
    joined = {name: np.concatenate([np.empty(0, kind), *(part[name] for part in parts)]) for name, kind in
              _COLUMNS.items()}  # fmt: skip
    order = sorted_order(np.stack([joined["upper"], joined["lower"]], axis=1))
    columns = {name: values[order].astype(_COLUMNS[name]) for name, values in joined.items()}
    places = Places(columns, odd)
    there = places.index.find(ids_of(odd)).tolist()  # an id as text is a plain key
    return Places(columns, {text: key for (text, key), row in zip(odd.items(), there, strict=True) if row >= 0})


def _check_unique(places: Places, directory: Path, records: Sequence[Record]) -> None:
    """Raise CorruptArtifactError where two tars have the same key."""
    upper, lower, tar = places.index.upper, places.index.lower, places.columns["tar"]
    repeated = np.flatnonzero((upper[1:] == upper[:-1]) & (lower[1:] == lower[:-1]) & (tar[1:] != tar[:-1]))
    if len(repeated):
        row = int(repeated[0])
        text = text_of(int(upper[row]), int(lower[row]))
        later = directory / records[max(tar[row], tar[row + 1])].shard
        raise CorruptArtifactError(f"{later}: key '{places.odd.get(text, text)}' is also in an earlier tar")


def _read(file: Path) -> tuple[Places, list[str]] | None:
    """What is kept about a directory, and the SHA-256 of each of its tars; None where nothing that can be read is."""
    if not file.is_file():
        return None
    try:
        table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
        about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        if about.get("form") != _FORM:
            return None
        columns = {name: numbers_in(table[name].chunk(0), kind) for name, kind in _COLUMNS.items()}
        digests = about["tars"].split()
        if int(columns["tar"].max(initial=0)) >= len(digests):
            return None
        return Places(columns, json.loads(about["odd"]), kept=True), digests
    except (pa.ArrowException, OSError, KeyError, ValueError, IndexError):
        return None


def _write(file: Path, places: Places, digests: Sequence[str]) -> None:
    """Keep what was read; where the cache cannot be written, it is read again the next time."""
    table = pa.table({name: places.columns[name] for name in _COLUMNS})
    table = table.replace_schema_metadata({"form": _FORM, "odd": json.dumps(places.odd), "tars": " ".join(digests)})
    try:
        with atomic_write(file) as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table.combine_chunks())
    except (OSError, StorageError):
        return


def members_of(path: Path | str, stream: RawIOBase | None = None) -> Samples:
    """The members, from the tar's headers. Raises CorruptArtifactError for a refused one.

    Args:
        stream: the tar's bytes, which are read in order; None: those of the file at ``path``, of which only the headers
            are read.
    """
    samples: Samples = {}
    try:
        with _open(path, stream) as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                if not member.isreg() or not KEY.fullmatch(key) or extension not in EXTENSIONS:
                    raise CorruptArtifactError(f"{path}: refused member {member.name!r}")
                members = samples.setdefault(key, {})
                if extension in members:
                    raise CorruptArtifactError(f"{path}: member {member.name!r} is there twice")
                members[extension] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise CorruptArtifactError(f"{path}: {(str(error) or type(error).__name__).splitlines()[0]}") from error
    return samples


def _open(path: Path | str, stream: RawIOBase | None) -> tarfile.TarFile:
    return tarfile.open(path, "r:") if stream is None else tarfile.open(fileobj=BufferedReader(stream), mode="r|")


def is_member(header: bytes, key: str, extension: str) -> bool:
    """Whether a tar's header is of this member, as far as it has room for the name."""
    name = f"{key}.{extension}\0".encode()
    return header.startswith(name) or len(name) > _LONGEST_NAME
