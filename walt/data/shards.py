"""Directories of WebDataset tars with an index: written completely, and read only as the index says.

A directory contains ``NAME-000000.tar`` ... and ``shards.parquet``, written last, with count, size and SHA-256 of each
tar and the ``identity`` (a digest of everything that determines the content). Readers trust the index, not the folder:
a tar that the index does not name is ignored, and one that differs from it is an error, never a shorter epoch.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import check_parquet, parquet_writer
from walt.core.storage import atomic_write, verify_file

NULL_KEY = "null"
"""Key of the empty caption's embedding, among those of the captions."""
INDEX_NAME = "shards.parquet"
EXTENSIONS = frozenset({"mp4", "png", "json", "safetensors"})
"""Extensions of the members that a tar may contain. A list of what is allowed excludes pickles under any name."""

Sample = dict[str, bytes]
"""A sample's members by extension."""

_KEY = re.compile(r"(?!__)[0-9A-Za-z_-]+")  # no dot (names split at the first), no folder, no webdataset metadata
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
        return sha256_json({"identity": self.identity, "rows": [asdict(record) for record in self.records]})


def shard_name(prefix: str, number: int) -> str:
    """``clips-000000.tar``."""
    return f"{prefix}-{number:06d}.tar"


def write_shard(path: Path, samples: Iterable[tuple[str, Sample]]) -> ShardRecord:
    """Write samples as a tar that appears under ``path`` only when it is complete; same samples, same bytes.

    Args:
        samples: (key, members by extension), in the order in which they are stored.

    Raises:
        ValueError: a key is repeated or not plain (letters, digits, ``_``, ``-``); a sample is empty; an extension is
            not one of ``EXTENSIONS``.
        StorageError: the disk is full or read-only.
    """
    from webdataset.writer import TarWriter  # it loads torch, which most users of this module do not need

    keys: set[str] = set()
    with atomic_write(path) as stream:
        hashing = _HashingWriter(stream)
        with TarWriter(hashing, encoder=False, mtime=0) as writer:
            for key, members in samples:
                _check_sample(key, members)
                if key in keys:
                    raise ValueError(f"{path.name}: key '{key}' is there twice")
                keys.add(key)
                writer.write({"__key__": key, **members})
    return ShardRecord(path.name, len(keys), hashing.count, hashing.digest.hexdigest())


def _check_sample(key: str, members: Sample) -> None:
    if not _KEY.fullmatch(key):
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
        table = pq.read_table(path, partitioning=None)
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
    from webdataset.tariterators import group_by_keys, tar_file_expander  # it loads torch, as above

    path = verify_shard(directory, record)
    _members(path)  # refuses forbidden members before their bytes are read
    count = 0
    with open(path, "rb") as stream:
        for sample in group_by_keys(tar_file_expander([{"url": str(path), "stream": stream}])):
            yield sample["__key__"], {k: v for k, v in sample.items() if not k.startswith("__")}
            count += 1
    if count != record.count:
        raise CorruptArtifactError(f"{path}: {count} samples, but the index says {record.count}")


class ShardReader:
    """Random access by key to a directory of tars, each verified once when the reader is made.

    Raises:
        StorageError: there is no index.
        CorruptArtifactError: a tar differs from the index, contains a forbidden member, or repeats a key.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.index = read_index(directory)
        self._places: dict[str, tuple[Path, dict[str, tuple[int, int]]]] = {}
        for record in self.index.records:
            path = verify_shard(directory, record)
            samples = _members(path)
            if len(samples) != record.count:
                raise CorruptArtifactError(f"{path}: {len(samples)} samples, but the index says {record.count}")
            if repeated := samples.keys() & self._places.keys():
                raise CorruptArtifactError(f"{path}: key '{min(repeated)}' is also in an earlier tar")
            self._places |= {key: (path, members) for key, members in samples.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in stored order."""
        return tuple(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def path(self, key: str) -> Path:
        """The tar that contains the key, for messages. Raises KeyError."""
        return self._places[key][0]

    def __getitem__(self, key: str) -> Sample:
        """The sample's members by extension. Raises KeyError."""
        path, members = self._places[key]
        sample = {}
        with open(path, "rb") as stream:
            for extension, (offset, size) in members.items():
                stream.seek(offset)
                sample[extension] = stream.read(size)
                if len(sample[extension]) != size:
                    raise CorruptArtifactError(f"{path}: cut short while it was in use, at key '{key}'")
        return sample


def _members(path: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """key -> extension -> (offset, size), from the tar's headers. Raises CorruptArtifactError for a refused member."""
    samples: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                if not member.isreg() or not _KEY.fullmatch(key) or extension not in EXTENSIONS:
                    raise CorruptArtifactError(f"{path}: refused member {member.name!r}")
                members = samples.setdefault(key, {})
                if extension in members:
                    raise CorruptArtifactError(f"{path}: member {member.name!r} is there twice")
                members[extension] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise CorruptArtifactError(f"{path}: {_first_line(error)}") from error
    return samples
