"""Directories of WebDataset tars with an index: written completely, and read only as the index says.

A directory contains ``NAME-000000.tar`` ... and ``shards.parquet``, written last, with count, size and SHA-256 of each
tar and the ``identity`` (a digest of everything that determines the content). Readers trust the index, not the folder:
a tar that the index does not name is ignored, and one that differs from it is an error, never a shorter epoch.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import check_parquet, parquet_writer
from walt.core.storage import atomic_write, verify_file, verify_files
from walt.data.key_index import Ids, ids_of
from walt.data.open_tars import Readable, Tars, read_unchanged
from walt.data.remote_tars import tars_of
from walt.data.tar_places import EXTENSIONS, KEY, TAR_HEADER, is_member, members_of

NULL_KEY = "null"
"""Key of the empty caption's embedding, among those of the captions."""
INDEX_NAME = "shards.parquet"
Sample = dict[str, bytes]
"""A sample's members by extension."""

_AT_ONCE = 1 << 20
"""Bytes of a tar that are written at once. The system keeps what comes in small pieces in small pieces, of which the
same bytes take more than twice as long to read (Linux 6.18, ext4: 11.8 us instead of 5.5 for 98 kB)."""
_SCHEMA = pa.schema([("shard", pa.string()), ("count", pa.int64()), ("bytes", pa.int64()), ("sha256", pa.string())])


@dataclass(frozen=True)
class ShardRecord:
    """What the index says about one tar."""

    shard: str
    """File name inside the directory."""
    count: int
    """Number of samples."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardIndex:
    """The content of ``shards.parquet``."""

    identity: str
    records: tuple[ShardRecord, ...]

    def digest(self) -> str:
        """Hex SHA-256 of everything in the index, and so of the bytes of all tars."""
        return sha256_json({"identity": self.identity, "rows": [vars(record) for record in self.records]})


def shard_name(prefix: str, number: int) -> str:
    """``clips-000000.tar``."""
    return f"{prefix}-{number:06d}.tar"


def tar_number(name: str) -> int:
    """The number in a name as ``shard_name`` gives them."""
    return int(name.partition(".")[0].rpartition("-")[2])


def write_shard(path: Path, samples: Iterable[tuple[str, Sample]]) -> ShardRecord:
    """Write samples as a tar that appears under ``path`` only when it is complete; same samples, same bytes.

    Args:
        samples: (key, members by extension), in the order in which they are stored.

    Raises:
        ValueError: a key is repeated or not plain (letters, digits, ``_``, ``-``); a sample is empty; an extension is
            not one of ``EXTENSIONS``.
        StorageError: the disk is full or read-only.
    """
    keys: set[str] = set()
    with atomic_write(path, buffering=_AT_ONCE) as stream:
        hashing = _HashingWriter(stream)
        with tarfile.open(fileobj=hashing, mode="w|") as archive:  # type: ignore[call-overload]  # it only writes
            for key, members in samples:
                _check_sample(key, members)
                if key in keys:
                    raise ValueError(f"{path.name}: key '{key}' is there twice")
                keys.add(key)
                for extension in sorted(members):
                    data = members[extension]
                    archive.addfile(_header(f"{key}.{extension}", len(data)), io.BytesIO(data))
    return ShardRecord(path.name, len(keys), hashing.count, hashing.digest.hexdigest())


def _header(name: str, size: int) -> tarfile.TarInfo:
    """As webdataset's writer has it; that one cannot be imported without torch, seconds for a stage that has none."""
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode, header.uname, header.gname = size, 0, 0o444, "bigdata", "bigdata"
    return header


def _check_sample(key: str, members: Sample) -> None:
    if not KEY.fullmatch(key):
        raise ValueError(f"key '{key}' is not made of letters, digits, '_' and '-'")
    if not members:
        raise ValueError(f"sample '{key}' has no members")
    if refused := members.keys() - EXTENSIONS:
        raise ValueError(f"sample '{key}': members of kind {sorted(refused)} are not stored")


class _HashingWriter:
    """A stream that counts and hashes what passes through it, so that a tar need not be read again for its digest."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.count = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.count += len(data)
        return self._stream.write(data)


def write_index(directory: Path, identity: str, records: Iterable[ShardRecord]) -> None:
    """Write ``shards.parquet``, after everything else in the directory."""
    index = ShardIndex(identity, tuple(records))
    if len({record.shard for record in index.records}) != len(index.records):
        raise ValueError(f"{directory}: a shard is listed twice")
    metadata = {"identity": identity, "digest": index.digest()}
    table = pa.Table.from_pylist([asdict(record) for record in index.records], schema=_SCHEMA)
    table = table.replace_schema_metadata(metadata)
    with parquet_writer(directory / INDEX_NAME, table.schema) as writer:
        writer.write_table(table)


def read_index(directory: Path) -> ShardIndex:
    """Read ``shards.parquet``.

    Raises:
        StorageError: there is no index.
        CorruptArtifactError: it cannot be read, or differs from its own digest.
    """
    path = directory / INDEX_NAME
    if not path.is_file():
        raise StorageError(f"{path}: no such file")
    check_parquet(path)
    try:
        with pq.ParquetFile(path) as file:  # read_table loads pandas, where that is installed
            table = file.read()
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        index = ShardIndex(metadata["identity"], tuple(ShardRecord(**row) for row in table.to_pylist()))
        intact = metadata["digest"] == index.digest()
    except (pa.ArrowException, OSError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CorruptArtifactError(f"{path}: {_first_line(error)}") from error
    if not intact:
        raise CorruptArtifactError(f"{path}: differs from its own digest")
    return index


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def verify_shard(directory: Path, record: ShardRecord) -> Path:
    """The tar's path, after comparing its size and SHA-256 with the index. Raises CorruptArtifactError."""
    return verify_file(directory / record.shard, record.bytes, record.sha256)


def iterate_shard(directory: Path, record: ShardRecord) -> Iterator[tuple[str, Sample]]:
    """The samples of one tar, in order, through webdataset.

    Raises:
        CorruptArtifactError: the tar differs from its record, or contains a member that is not one of ``EXTENSIONS``.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander  # webdataset loads torch

    verify_files(directory, [(record.shard, record.bytes, record.sha256)], again=True)  # it is read whole anyway
    path = directory / record.shard
    members_of(path)  # refuses forbidden members before their bytes are read
    count = 0
    with open(path, "rb") as stream:
        for sample in group_by_keys(tar_file_expander([{"url": str(path), "stream": stream}])):
            yield sample["__key__"], {k: v for k, v in sample.items() if not k.startswith("__")}
            count += 1
    if count != record.count:
        raise CorruptArtifactError(f"{path}: {count} samples, but the index says {record.count}")


@dataclass(frozen=True)
class Members:
    """Members of samples, one of each key, of one extension; one value each in every list."""

    keys: Sequence[str]
    extension: str
    rows: list[int]
    """Numbers of the members, below ``ShardReader.num_members``."""
    tars: list[int]
    offsets: list[int]
    """Of the content, in bytes."""
    sizes: list[int]

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, start: int, stop: int) -> Members:
        """Members ``start`` .. ``stop - 1``."""
        lists = (values[start:stop] for values in (self.rows, self.tars, self.offsets, self.sizes))
        return Members(self.keys[start:stop], self.extension, *lists)


class ShardReader:
    """Random access by key to a directory of tars, each verified when the reader is made, unless it was before.

    A tar that a read does not find as expected is hashed again; whoever cannot parse a sample asks for that with
    ``corrupt``. It may be used by several threads.

    Raises:
        StorageError: there is no index.
        CorruptArtifactError: a tar differs from the index, contains a forbidden member, or repeats a key.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.index = read_index(directory)
        self._tars: Tars = tars_of(directory, self.index.records)
        self._places = self._tars.places()

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in stored order."""
        return self._places.keys()

    @property
    def num_members(self) -> int:
        """Of all samples together."""
        return len(self._places)

    def __len__(self) -> int:
        return sum(record.count for record in self.index.records)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and len(self._rows_of(key)) > 0

    def path(self, key: str) -> Path:
        """The tar that contains the key, for messages. Raises KeyError."""
        return Path(self._tars.path(self._tar(key)))

    def contains(self, ids: Ids) -> NDArray[np.bool_]:
        """Whether there is a sample, for each of these ids (``walt.data.key_index``): (N,)."""
        return self._find(lambda: self._places.index.find(ids)) >= 0

    def members(self, keys: Sequence[str], extension: str, ids: Ids | None = None) -> Members:
        """Where the member with this extension is, for each key.

        Args:
            ids: those of the keys, where they are known.

        Raises CorruptArtifactError: there is no such sample, or it has no such member.
        """
        wanted = ids_of(keys) if ids is None else ids
        rows = self._find(lambda: self._places.rows(wanted, extension))
        for place in np.flatnonzero(rows < 0).tolist():
            if not (others := self._rows_of(keys[place])):
                raise CorruptArtifactError(f"{self.directory}: no sample for key '{keys[place]}'")
            there = sorted(self._places.extension(row) for row in others)
            raise self.corrupt(keys[place], f"no {extension}, only {there}")
        columns = (self._places.columns[name][rows].tolist() for name in ("tar", "offset", "size"))
        return Members(keys, extension, rows.tolist(), *columns)

    def files(self, members: Members) -> dict[int, Readable]:
        """The tars of these members, by number. Raises CorruptArtifactError: one has changed since it was opened."""
        return {tar: self._tars.open(tar) for tar in set(members.tars)}

    def content(self, members: Members, place: int) -> NDArray[np.uint8]:
        """The bytes of a member. Raises as ``files``, and as ``OpenTar``'s."""
        one = members.part(place, place + 1)
        found = np.empty(TAR_HEADER + one.sizes[0], np.uint8)
        tar = self._tars.open(one.tars[0])
        read_unchanged([tar], lambda: tar.read_into(one.offsets[0] - TAR_HEADER, found.data))
        key = one.keys[0]
        if is_member(found[:TAR_HEADER].tobytes(), key, one.extension):
            return found[TAR_HEADER:]
        # another lies there: what is kept of the tars is damaged, or the tar is
        if self._places.kept:
            self._places = self._tars.places(again=True)
        again = self.members([key], one.extension)
        if again == one:
            raise self.corrupt(key, "another member is in its place")
        return self.content(again, 0)

    @property
    def reads_ahead(self) -> bool:
        """Whether ``will_need`` is worth its time also for what was read before."""
        return self._tars.ahead

    def will_need(self, members: Members, place: int) -> None:
        """Have the system read a member ahead."""
        offset = members.offsets[place]
        self._tars.open(members.tars[place]).will_need(offset - TAR_HEADER, offset + members.sizes[place])

    def __getitem__(self, key: str) -> Sample:
        """The sample's members by extension. Raises KeyError."""
        extensions = [self._places.extension(row) for row in self._there(key)]
        found = [self.members([key], extension) for extension in extensions]
        return {members.extension: self.content(members, 0).tobytes() for members in found}

    def corrupt(self, key: str, problem: str) -> CorruptArtifactError:
        """What is wrong with a sample; or, where its tar is not what the index says any more, with that."""
        tar = self._tar(key)
        try:
            self._tars.verify(tar)
        except CorruptArtifactError as error:
            return error
        return CorruptArtifactError(f"{self._tars.path(tar)}: key '{key}': {problem}")

    def _find(self, find: Callable[[], NDArray[np.int64]]) -> NDArray[np.int64]:
        """What ``find`` gives; from the tars' own headers, where what is kept of them lacks something."""
        found = find()
        if self._places.kept and (found < 0).any():
            self._places = self._tars.places(again=True)
            found = find()
        return found

    def _there(self, key: str) -> range:
        """The rows of the key's members. Raises KeyError."""
        self._find(lambda: self._places.index.find(ids_of([key])))
        if not (rows := self._rows_of(key)):
            raise KeyError(key)
        return rows

    def _rows_of(self, key: str) -> range:
        return self._places.rows_of(ids_of([key])[0])

    def _tar(self, key: str) -> int:
        return int(self._places.columns["tar"][self._there(key)[0]])
