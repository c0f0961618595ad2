"""What ``energon prepare`` writes beside tars, made without energon, whose index has another UUID each time.

``.nv-meta/.info.json`` (samples per tar), ``split.yaml`` (tars per split), ``dataset.yaml`` (which member is which
field), ``index.sqlite`` and ``index.uuid``; and for each tar ``NAME.tar.idx``, where its samples begin.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from walt.core.digests import sha256_json
from walt.core.errors import StorageError
from walt.core.storage import TEMPORARY_SUFFIX, storage_errors, write_bytes, write_json
from walt.export.survey import Group
from walt.export.target import FileRecord

FOLDER = ".nv-meta"
_SPLITS = {"train": "train", "held_out": "val"}
_TABLES = (
    "CREATE TABLE samples (tar_file_id INTEGER NOT NULL, sample_key TEXT NOT NULL UNIQUE, "
    "sample_index INTEGER NOT NULL, byte_offset INTEGER, byte_size INTEGER)",
    "CREATE TABLE sample_parts (tar_file_id INTEGER, sample_index INTEGER, part_name TEXT, "
    "content_byte_offset INTEGER, content_byte_size INTEGER)",
)
_INDEXES = (
    "CREATE INDEX idx_samples_by_tar_and_idx ON samples(tar_file_id, sample_index)",
    "CREATE INDEX idx_sample_parts_seq ON sample_parts(tar_file_id, sample_index, content_byte_offset)",
    "CREATE INDEX idx_sample_parts_full ON "
    "sample_parts(tar_file_id, sample_index, part_name, content_byte_offset, content_byte_size)",
)


@dataclass
class _Sample:
    """Where a sample is in its tar."""

    key: str
    start: int
    parts: list[tuple[str, int, int]] = field(default_factory=list)
    """Extension, offset and size of each member's bytes."""
    end: int = 0


def prepare(folder: Path, splits: Mapping[Group, list[FileRecord]], *, captioned: bool, identity: str) -> None:
    """Write what energon needs to load a folder of tars; the same tars give the same bytes. Raises StorageError.

    Args:
        folder: that of one kind of clips, with their tars.
        splits: the tars of each split.
        captioned: whether the tars have captions.
        identity: digest of what the tars are made of.
    """
    meta = folder / FOLDER
    by_split = {
        group.split: [record.name.rpartition("/")[2] for record in records] for group, records in splits.items()
    }
    counts = {record.name.rpartition("/")[2]: record.samples for records in splits.values() for record in records}
    extension = next(iter(splits)).extension
    _write_database(meta / "index.sqlite", folder, list(counts))
    write_bytes(meta / "index.uuid", str(uuid.UUID(sha256_json([identity, extension])[:32])).encode())
    write_json(meta / ".info.json", {"energon_version": None, "shard_counts": counts})
    parts = {name: by_split.get(split, []) for split, name in _SPLITS.items()} | {"test": []}
    write_json(meta / "split.yaml", {"split_parts": parts, "exclude": []})  # JSON is YAML
    write_json(meta / "dataset.yaml", _dataset(extension, captioned))


def _dataset(extension: str, captioned: bool) -> dict[str, object]:
    """Samples of energon's own type where there are captions, else the members by extension."""
    if captioned:
        return {
            "sample_type": {"__module__": "megatron.energon", "__class__": "CaptioningSample"},
            "field_map": {"image": extension, "caption": "txt"},
        }
    return {"__module__": "megatron.energon", "__class__": "CrudeWebdataset"}


def _write_database(path: Path, folder: Path, tars: list[str]) -> None:
    """The index of all samples, and each tar's own."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.unlink(missing_ok=True)
    try:
        with storage_errors(path), closing(sqlite3.connect(temporary)) as database:
            database.execute("PRAGMA journal_mode = OFF")
            for statement in _TABLES:
                database.execute(statement)
            for number, tar in enumerate(tars):
                _index_tar(database, number, folder / tar)
            for statement in _INDEXES:
                database.execute(statement)
            database.commit()
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except sqlite3.OperationalError as error:  # what sqlite makes of a full disk
        raise StorageError(f"{path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _index_tar(database: sqlite3.Connection, number: int, path: Path) -> None:
    starts, end = [], 0
    for place, sample in enumerate(_samples(path)):
        database.execute(
            "INSERT INTO samples VALUES (?, ?, ?, ?, ?)",
            (number, sample.key, place, sample.start, sample.end - sample.start),
        )
        database.executemany(
            "INSERT INTO sample_parts VALUES (?, ?, ?, ?, ?)", [(number, place, *part) for part in sample.parts]
        )
        starts.append(sample.start)
        end = sample.end
    write_bytes(path.with_name(f"{path.name}.idx"), struct.pack(f"<{len(starts) + 1}Q", *starts, end))


def _samples(path: Path) -> Iterator[_Sample]:
    """The samples of one tar, from its headers."""
    sample: _Sample | None = None
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            key, _, extension = member.name.partition(".")
            if sample is None or sample.key != key:
                if sample is not None:
                    sample.end = member.offset
                    yield sample
                sample = _Sample(key, member.offset)
            sample.parts.append((extension, member.offset_data, member.size))
        if sample is not None:
            sample.end = archive.offset
            yield sample
