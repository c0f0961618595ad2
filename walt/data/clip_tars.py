"""``data/clips``: which clip goes to which tar, and bringing the folder up to date with the least writing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from walt.core.errors import CorruptArtifactError
from walt.core.images import Size
from walt.core.log import ProgressBar
from walt.core.storage import read_json, sha256_json, write_json
from walt.data.clips import CLIPS_TABLE, size_folder
from walt.data.cutting import ClipRule
from walt.data.ingestion import ClipCache, ClipEntry, Member, SourceEntry, SourceFile
from walt.data.shards import (
    INDEX_NAME,
    Sample,
    ShardRecord,
    read_index,
    shard_name,
    verify_shard,
    write_index,
    write_shard,
)
from walt.data.sources.items import Item


@dataclass(frozen=True)
class PlannedClip:
    """A clip with everything that the outputs say of it."""

    item: Item
    file: SourceFile
    entry: SourceEntry
    clip: ClipEntry
    split: str

    def has(self, size: Size) -> bool:
        """Whether it is stored in a size."""
        return any(member.size == size for member in self.clip.members)

    def member(self, size: Size) -> Member:
        """Its picture file of one size, which it has."""
        return next(member for member in self.clip.members if member.size == size)

    def description(self, rule: ClipRule) -> str:
        """The JSON that lies beside the pictures."""
        facts = {
            "kind": self.clip.kind,
            "num_frames": self.clip.num_frames,
            "fps": rule.fps,
            "source_sha256": self.file.sha256,
            "start_seconds": self.clip.start_seconds,
        }
        return json.dumps(facts, sort_keys=True)


def assign_shards(clips: list[PlannedClip], clips_per_shard: int) -> list[list[PlannedClip]]:
    """Clips by tar, sorted by key within each.

    A source's hash picks its tar among a power of two of them, so that a new source changes one tar, not all that come
    after it. ``clips_per_shard`` is what a tar holds on average at most.
    """
    count = 1
    while count * clips_per_shard < len(clips):
        count *= 2
    buckets: dict[int, list[PlannedClip]] = {}
    for planned in clips:
        buckets.setdefault(int(planned.file.sha256[:8], 16) * count >> 32, []).append(planned)
    return [sorted(bucket, key=lambda planned: planned.clip.key) for _, bucket in sorted(buckets.items())]


def publish_tars(
    clips_dir: Path, known: Path, cache: ClipCache, shards: list[list[PlannedClip]], rule: ClipRule
) -> dict[str, list[ShardRecord]]:
    """Bring the tars of all sizes up to date: what is right stays untouched, the rest is written or removed.

    Args:
        clips_dir: ``data/clips``.
        known: work folder that remembers, by a digest of the content, the record of each tar that was written.
        shards: as ``assign_shards`` gives them.

    Returns:
        The tars' records by the folder of their size.
    """
    sizes = {size_folder(size): size for size in rule.sizes}
    numbered = {
        folder: [(number, held) for number, shard in enumerate(shards) if (held := [p for p in shard if p.has(size)])]
        for folder, size in sizes.items()
    }  # a tar that would be empty is left out, so numbers may be missing
    digests = {
        folder: [_digest(shard, number, size, rule) for number, shard in numbered[folder]]
        for folder, size in sizes.items()
    }
    records: dict[str, list[ShardRecord]] = {folder: [] for folder in sizes}
    clips_dir.mkdir(parents=True, exist_ok=True)
    with ProgressBar("ingest: writing", total=sum(map(len, numbered.values())), unit="tars") as bar:
        for folder, size in sizes.items():
            directory = clips_dir / folder
            directory.mkdir(exist_ok=True)
            identity = sha256_json([rule.identity, folder, digests[folder]])
            _forget_wrong_index(directory, identity)
            for (number, shard), digest in zip(numbered[folder], digests[folder], strict=True):
                record = _known_record(known / f"{digest}.json", directory)
                if record is None:
                    record = write_shard(directory / shard_name("clips", number), _samples(shard, cache, size, rule))
                    write_json(known / f"{digest}.json", asdict(record))
                records[folder].append(record)
                bar.advance()
            if not (directory / INDEX_NAME).is_file() or read_index(directory).records != tuple(records[folder]):
                write_index(directory, identity, records[folder])
            _keep_only(directory, {INDEX_NAME, *(record.shard for record in records[folder])})
    _keep_only(clips_dir, {CLIPS_TABLE, *sizes})
    _keep_only(known, {f"{digest}.json" for of_folder in digests.values() for digest in of_folder})
    return records


def _digest(shard: list[PlannedClip], number: int, size: Size, rule: ClipRule) -> str:
    """Of everything that determines a tar's name and bytes."""
    content = [[planned.clip.key, planned.member(size).sha256, planned.description(rule)] for planned in shard]
    return sha256_json([shard_name("clips", number), size, content])


def _forget_wrong_index(directory: Path, identity: str) -> None:
    """Remove an index that is about to become wrong, so that nobody reads new tars by an old index."""
    path = directory / INDEX_NAME
    try:
        if path.is_file() and read_index(directory).identity != identity:
            path.unlink()
    except CorruptArtifactError:
        path.unlink()


def _known_record(path: Path, directory: Path) -> ShardRecord | None:
    """The record of a tar that was written before and still is what it was."""
    if not path.is_file():
        return None
    record = ShardRecord(**read_json(path))
    try:
        verify_shard(directory, record)
    except CorruptArtifactError:
        return None
    return record


def _samples(shard: list[PlannedClip], cache: ClipCache, size: Size, rule: ClipRule) -> Iterator[tuple[str, Sample]]:
    for planned in shard:
        data = cache.read(planned.file, planned.entry, planned.clip.key, size)
        yield planned.clip.key, {planned.member(size).extension: data, "json": planned.description(rule).encode()}


def _keep_only(directory: Path, names: set[str]) -> None:
    """Remove what no longer belongs: other sizes, tars that are too many, what killed runs left."""
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
