"""``data/clips``: which clip goes into which tar, and updating the folder with as little writing as possible."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError
from walt.core.log import ProgressBar
from walt.core.sizes import Size, size_folder
from walt.core.storage import keep_only, read_json, write_json
from walt.data.clip_table import CLIPS_TABLE
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
from walt.data.tar_tree import upwards
from walt.ingest.clip_cache import ClipCache, ClipEntry, ClipMember, SourceEntry, SourceFile
from walt.ingest.clip_rule import ClipRule
from walt.ingest.screen_clips import Refusals, screened
from walt.ingest.sources.items import Item

MOST_PART_ROWS = 1 << 18
"""Clips in a part of the manifest, unless a single tar has more: 20 to 30 MB."""


@dataclass(slots=True)
class Source:
    """An input that was listed. All of them are in memory at once, so it is small."""

    item: Item
    sha256: str = ""
    """Hash of its bytes, once they were read; empty: they could not be read."""
    refusal: tuple[str | None, str] | None = None
    """Code and cause of a failure that says nothing about the bytes; it is ignored if another copy could be read."""
    num_clips: int = 0
    """Clips that were accepted."""
    has_video: bool = False
    split: str = "train"

    @property
    def file(self) -> SourceFile:
        """Its name in the cache."""
        return SourceFile(self.sha256, self.item.kind, self.item.span)


@dataclass(frozen=True)
class PlannedClip:
    """A clip with everything that the outputs say about it."""

    item: Item
    file: SourceFile
    entry: SourceEntry
    clip: ClipEntry
    split: str

    def has(self, size: Size) -> bool:
        """Whether it is stored in a size."""
        return any(member.size == size for member in self.clip.members)

    def member(self, size: Size) -> ClipMember:
        """Its picture file of one size; the clip must have that size."""
        return next(member for member in self.clip.members if member.size == size)

    def description(self, rule: ClipRule) -> str:
        """The JSON that is stored beside the pictures."""
        facts = {
            "kind": self.clip.kind,
            "num_frames": self.clip.num_frames,
            "fps": rule.fps,
            "source_sha256": self.file.sha256,
            "start_seconds": self.clip.start_seconds,
        }
        return json.dumps(facts, sort_keys=True)


def assign_shards(sources: list[Source], most_clips: int) -> dict[int, list[Source]]:
    """Which sources go into which tar. It depends only on the set of sources, and one more source changes few tars.

    The bits of a source's hash select a leaf of a binary tree: a tar that would hold more than ``most_clips`` clips is
    split in two by the next bit, the others stay as they are (extendible hashing). The clips of one source are never
    separated: a source with more clips than that has a tar of its own. A tar is numbered by its position in the tree,
    0 at the top, 2n+1 and 2n+2 below n, so that its name does not depend on how many others there are.
    """
    shards: dict[int, list[Source]] = {}
    pending = [(0, 0, sources)]
    while pending:
        number, depth, members = pending.pop()
        if sum(source.num_clips for source in members) <= most_clips or len({source.sha256 for source in members}) == 1:
            shards[number] = members
            continue
        halves: tuple[list[Source], list[Source]] = ([], [])
        for source in members:
            halves[int(source.sha256[depth // 4], 16) >> (3 - depth % 4) & 1].append(source)
        pending += [(2 * number + 1 + bit, depth + 1, half) for bit, half in enumerate(halves) if half]
    return {number: shards[number] for number in sorted(shards)}


def assign_parts(shards: dict[int, list[Source]], most_rows: int) -> dict[int, dict[int, list[Source]]]:
    """Which tars' clips go into which part of the manifest: part -> tar -> sources, both in the order of their numbers.

    The tree of the tars is cut higher up: a part is the topmost subtree of at most ``most_rows`` clips, and has the
    number of its position. Its content, too, depends only on the set of sources; one source changes one part, or splits
    it. A tar is never divided: one with more clips than that is a part of its own.
    """
    below: Counter[int] = Counter()  # clips by position in the tree
    for number, sources in shards.items():
        num_clips = sum(source.num_clips for source in sources)
        for place in upwards(number):
            below[place] += num_clips
    parts: dict[int, dict[int, list[Source]]] = {}
    for number in sorted(shards):
        fitting = [place for place in upwards(number) if below[place] <= most_rows]
        parts.setdefault(fitting[-1] if fitting else number, {})[number] = shards[number]
    return {number: parts[number] for number in sorted(parts)}


def planned_clips(sources: list[Source], cache: ClipCache, refusals: Refusals) -> list[PlannedClip]:
    """The clips of one tar, without those that were refused, sorted by key.

    Raises:
        CorruptArtifactError: the cache holds a source no more; a rerun makes it again.
    """
    clips = []
    for source in sources:
        file = source.file
        entry = cache.get(file)
        if entry is None:
            raise CorruptArtifactError(f"{cache.folder}: the clips of {source.sha256} are damaged or gone; run again")
        clips += [PlannedClip(source.item, file, entry, clip, source.split) for clip in screened(entry, refusals).clips]
    return sorted(clips, key=lambda planned: planned.clip.key)


def publish_tars(
    clips_dir: Path,
    known: Path,
    cache: ClipCache,
    shards: dict[int, list[Source]],
    refusals: Refusals,
    rule: ClipRule,
) -> dict[str, list[ShardRecord]]:
    """Bring the tars of all sizes up to date: correct ones stay untouched, the rest is written or removed.

    Args:
        clips_dir: ``data/clips``.
        known: work folder that remembers, by a digest of the content, the record of each tar that was written.
        shards: as ``assign_shards`` gives them; the clips of one at a time are in memory.
        refusals: clips that were refused.

    Returns:
        The tars' records by the folder of their size.
    """
    sizes = {size_folder(size): size for size in rule.sizes}
    digests: dict[str, dict[int, str]] = {folder: {} for folder in sizes}
    for number, sources in shards.items():
        clips = planned_clips(sources, cache, refusals)
        for folder, size in sizes.items():
            held = [planned for planned in clips if planned.has(size)]
            if held:  # a tar that would be empty is left out
                digests[folder][number] = _digest(held, number, size, rule)
    records: dict[str, list[ShardRecord]] = {folder: [] for folder in sizes}
    clips_dir.mkdir(parents=True, exist_ok=True)
    total = sum(map(len, digests.values()))
    with ProgressBar("ingest: writing", total=total, unit="tars", meters=("MB",)) as bar:
        for folder, size in sizes.items():
            directory = clips_dir / folder
            directory.mkdir(exist_ok=True)
            identity = sha256_json([rule.identity, folder, list(digests[folder].values())])
            _forget_wrong_index(directory, identity)
            for number, digest in digests[folder].items():
                record = _known_record(known / f"{digest}.json", directory)
                if record is None:
                    samples = _samples(planned_clips(shards[number], cache, refusals), cache, size, rule)
                    record = write_shard(directory / shard_name("clips", number), samples)
                    write_json(known / f"{digest}.json", asdict(record))
                records[folder].append(record)
                bar.advance(MB=record.bytes / 1e6)
            if not (directory / INDEX_NAME).is_file() or read_index(directory).records != tuple(records[folder]):
                write_index(directory, identity, records[folder])
            keep_only(directory, {INDEX_NAME, *(record.shard for record in records[folder])})
    keep_only(clips_dir, {CLIPS_TABLE, *sizes})
    keep_only(known, {f"{digest}.json" for of_folder in digests.values() for digest in of_folder.values()})
    return records


def _digest(shard: list[PlannedClip], number: int, size: Size, rule: ClipRule) -> str:
    """Digest of everything that determines a tar's name and bytes."""
    content = [[planned.clip.key, planned.member(size).sha256, planned.description(rule)] for planned in shard]
    return sha256_json([shard_name("clips", number), size, content])


def _forget_wrong_index(directory: Path, identity: str) -> None:
    """Remove an index that is about to become wrong, so that no reader uses new tars with an old index."""
    path = directory / INDEX_NAME
    try:
        if path.is_file() and read_index(directory).identity != identity:
            path.unlink()
    except CorruptArtifactError:
        path.unlink()


def _known_record(path: Path, directory: Path) -> ShardRecord | None:
    """The record of a tar that was written before and has not changed since."""
    if not path.is_file():
        return None
    record = ShardRecord(**read_json(path))
    try:
        verify_shard(directory, record)
    except CorruptArtifactError:
        return None
    return record


def _samples(shard: list[PlannedClip], cache: ClipCache, size: Size, rule: ClipRule) -> Iterator[tuple[str, Sample]]:
    for planned in (planned for planned in shard if planned.has(size)):
        data = cache.read(planned.file, planned.entry, planned.clip.key, size)
        yield planned.clip.key, {planned.member(size).extension: data, "json": planned.description(rule).encode()}
