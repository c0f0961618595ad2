"""Stage ``ingest``: source files -> clips in tars of each size, a manifest and a rejects table.

What decides and in which order: the source lists inputs; files are hashed; the same bytes twice are one source; each
source is decoded once, in a process that can be killed, and cut into clips of all sizes; clips go to tars by the hash
of their source. Neither the order of listing nor the number of workers changes a byte. Inputs = accepted + rejected.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from walt.core.compute import ComputeConfig
from walt.core.config import Section, load_section
from walt.core.errors import RejectLimitError
from walt.core.execute import map_items
from walt.core.log import ProgressBar, info, warning
from walt.core.manifest import ManifestRow, RejectRow, printable, write_clips, write_manifest, write_rejects
from walt.core.paths import Paths
from walt.core.storage import TEMPORARY_SUFFIX, storage_errors
from walt.data.clip_tars import PlannedClip, assign_shards, publish_tars
from walt.data.clips import CLIPS_TABLE
from walt.data.config import DatasetConfig, Descriptor, IngestConfig
from walt.data.fetching import TEMPORARY_FOLDER, Fetched, cut_anywhere, fetch_all
from walt.data.ingestion import TRANSIENT, ClipCache, ClipRule, SourceEntry, SourceFile, cut_source, hash_files
from walt.data.shards import ShardRecord
from walt.data.sources.items import Item, Span
from walt.data.sources.registry import list_items

_HASH_BATCH = 32


class Config(Section):
    """The sections that this stage reads."""

    dataset: DatasetConfig
    ingest: IngestConfig
    compute: ComputeConfig


@dataclass(frozen=True)
class Source:
    """An input that was listed and read, and is the first with its bytes."""

    item: Item
    file: SourceFile


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Make ``data/clips``, ``data/manifest.parquet`` and ``data/rejects.parquet``.

    Raises:
        ConfigurationError: the descriptor, the folder or the captions table is missing or wrong.
        RejectLimitError: more than ``reject_limit`` of the inputs were rejected, or none was accepted. The rejects
            table is written before.
    """
    descriptor = load_section(paths.root / config.dataset.descriptor, Descriptor)
    listing = list_items(descriptor, paths.root, config.dataset.path, config.ingest.max_caption_characters)
    rejects = [_reject(refusal.source, None, refusal.code, refusal.cause) for refusal in listing.refusals]
    rule = ClipRule.from_config(config.ingest, descriptor.images)
    work = paths.work("ingest")
    cache = ClipCache(work / "sources", rule)
    with storage_errors(work):
        fetched, num_fetched = fetch_all(
            listing.items, work, partial(cut_source, rule), cache, config.compute, config.ingest
        )
        sources, duplicates = _hash(listing.items, fetched, config.compute)
        rejects += duplicates
        entries, num_decoded = _cut(sources, rule, cache, config, work / TEMPORARY_FOLDER)
    rejects += [
        _reject(source.item.source, source.file.sha256, entry.code, entry.cause)
        for source, entry in zip(sources, entries, strict=True)
        if entry.code
    ]
    num_inputs = len(listing.items) + len(listing.refusals)
    assert num_inputs == sum(1 for entry in entries if not entry.code) + len(rejects), "inputs = accepted + rejected"
    write_rejects(paths.rejects, rejects)
    _check_limit(num_inputs, rejects, config.ingest.reject_limit, paths.rejects)

    shards = assign_shards(_split(sources, entries, descriptor.held_out), config.ingest.clips_per_shard)
    rows = [_row(planned, number, rule) for number, shard in enumerate(shards) for planned in shard]
    with storage_errors(paths.clips):
        records = publish_tars(paths.clips, paths.work("ingest") / "shards", cache, shards, rule)
        write_clips(paths.clips / CLIPS_TABLE, rows)
        write_manifest(paths.manifest, rows)
        cache.prune({source.file.name for source in sources})
        for table in (paths.manifest, paths.rejects):
            for left in table.parent.glob(f"{table.name}.*{TEMPORARY_SUFFIX}"):
                left.unlink()
    return _figures(num_inputs, rejects, rows, records, num_fetched + num_decoded)


def _reject(source: str, sha256: str | None, code: str | None, cause: str) -> RejectRow:
    return RejectRow(printable(source), sha256, "ingest", code or "unknown", printable(cause))


# ---------------------------------------------------------------------------------------------------- hashing, decoding


def _hash(
    items: list[Item], fetched: dict[str, Fetched], compute: ComputeConfig
) -> tuple[list[Source], list[RejectRow]]:
    """Read every file. The first, by name, of those with the same bytes is the source; the others are aliases."""
    batches = [items[start : start + _HASH_BATCH] for start in range(0, len(items), _HASH_BATCH)]
    names = [[os.fsencode(item.path) for item in batch] for batch in batches]
    sources: list[Source] = []
    rejects: list[RejectRow] = []
    first: dict[tuple[str, Span | None], str] = {}
    with ProgressBar("ingest: reading", total=len(items), unit="files") as bar:
        for batch, outcome in zip(batches, map_items(hash_files, names, compute), strict=True):
            digests = outcome.value or [(None, f"could not be read: {outcome.failure}")] * len(batch)
            for item, (sha256, problem) in zip(batch, digests, strict=True):
                code = None
                if item.path in fetched:
                    found = fetched[item.path]
                    sha256, code, problem = found.sha256, found.code, found.cause
                if sha256 is None:
                    rejects.append(_reject(item.source, None, code or "unreadable", problem))
                elif earlier := first.get((sha256, item.span)):
                    rejects.append(_reject(item.source, sha256, "duplicate", f"the same bytes as {earlier}"))
                else:
                    first[sha256, item.span] = item.source
                    sources.append(Source(item, SourceFile(os.fsencode(item.path), sha256, item.kind, item.span)))
            bar.advance(len(batch))
    return sources, rejects


def _cut(
    sources: list[Source], rule: ClipRule, cache: ClipCache, config: Config, temporary: Path
) -> tuple[list[SourceEntry], int]:
    """The entry of each source: from the cache, or decoded now. Also how many were decoded."""
    entries: dict[str, SourceEntry] = {}
    for source in sources:
        entry = cache.get(source.file)
        if entry:
            entries[source.file.name] = entry
    todo = [source.file for source in sources if source.file.name not in entries]
    outcomes = map_items(
        partial(cut_anywhere, temporary, partial(cut_source, rule)), todo, config.compute,
        timeout_seconds=config.ingest.timeout_seconds, memory_mb=config.ingest.memory_mb,
    )  # fmt: skip
    with ProgressBar("ingest: decoding", total=len(sources), unit="files", completed=len(entries)) as bar:
        for file, outcome in zip(todo, outcomes, strict=True):
            if outcome.value:
                entry, data = outcome.value
                if entry.code not in TRANSIENT:
                    cache.put(file, entry, data)
            else:
                assert outcome.failure is not None
                entry = SourceEntry(file.sha256, (), outcome.failure.code, outcome.failure.cause)
            entries[file.name] = entry
            bar.advance()
    return [entries[source.file.name] for source in sources], len(todo)


def _check_limit(num_inputs: int, rejects: list[RejectRow], limit: float, table: Path) -> None:
    codes = ", ".join(f"{count} {code}" for code, count in Counter(row.code for row in rejects).most_common())
    if len(rejects) == num_inputs:
        raise RejectLimitError(
            f"none of {num_inputs} inputs was accepted ({codes or 'the dataset is empty'}); see {table}"
        )
    if len(rejects) > limit * num_inputs:
        share = f"{len(rejects)} of {num_inputs} inputs were rejected ({codes})"
        raise RejectLimitError(f"{share}, more than ingest.reject_limit {limit:g}; see {table}")


# ------------------------------------------------------------------------------------------------------------ outputs


def _split(sources: list[Source], entries: list[SourceEntry], held_out: float) -> list[PlannedClip]:
    """All clips; those of a source are all in one split, which the dataset's lists say, or its hash decides.

    Where a share so small or sources so few leave nothing held out, the first video that a larger share would take is
    held out, as long as another video is left to train on.
    """
    splits = {source.file.sha256: "held_out" if _draw(source.file.sha256) < held_out else "train" for source in sources}
    listed = {source.file.sha256: source.item.split for source in sources if source.item.split is not None}
    taken = [(source.file.sha256, entry) for source, entry in zip(sources, entries, strict=True) if entry.clips]
    accepted = [sha256 for sha256, _ in taken]
    videos = [sha256 for sha256, entry in taken if any(clip.kind == "video" for clip in entry.clips)]
    if listed:
        splits |= listed
        if all(splits[sha256] == "held_out" for sha256 in accepted):
            warning("every source is held out by the dataset's own lists: there is nothing to train on")
    elif all(splits[sha256] == "held_out" for sha256 in accepted):
        warning("every source would be held out; all are used for training instead")
        splits = dict.fromkeys(splits, "train")
    elif held_out and not any(splits[sha256] == "held_out" for sha256 in accepted):
        if len(videos) > 1:
            splits[min(videos, key=lambda sha256: (_draw(sha256), sha256))] = "held_out"
            warning(f"too few sources for a held-out share of {held_out:g}: one video is held out")
        else:
            warning(f"too few videos for a held-out share of {held_out:g}: none is held out")
    return [
        PlannedClip(source.item, source.file, entry, clip, splits[source.file.sha256])
        for source, entry in zip(sources, entries, strict=True)
        for clip in entry.clips
    ]


def _draw(sha256: str) -> float:
    """A number in [0, 1) that is evenly spread over the hashes."""
    return int(sha256[-8:], 16) / 2**32


def _row(planned: PlannedClip, number: int, rule: ClipRule) -> ManifestRow:
    item, clip = planned.item, planned.clip
    seconds = clip.num_frames / rule.fps if clip.kind == "video" else 0.0
    return ManifestRow(
        key=clip.key, kind=clip.kind, split=planned.split, source=printable(item.source),
        source_sha256=planned.file.sha256, start_seconds=clip.start_seconds, end_seconds=clip.start_seconds + seconds,
        num_frames=clip.num_frames, caption=item.caption, caption_truncated=item.caption_truncated, label=item.label,
        shard=number, sha256=clip.members[-1].sha256,
    )  # fmt: skip


def _figures(
    num_inputs: int,
    rejects: list[RejectRow],
    rows: list[ManifestRow],
    records: dict[str, list[ShardRecord]],
    decoded: int,
) -> dict[str, Any]:
    """What the command line prints."""
    figures = {
        "inputs": num_inputs,
        "accepted": num_inputs - len(rejects),
        "rejected": len(rejects),
        "rejects": dict(sorted(Counter(row.code for row in rejects).items())),
        "decoded_now": decoded,
        "clips": len(rows),
        "videos": sum(row.kind == "video" for row in rows),
        "images": sum(row.kind == "image" for row in rows),
        "held_out": sum(row.split == "held_out" for row in rows),
        "captions_cut": sum(row.caption_truncated for row in rows),
        "bytes": {folder: sum(record.bytes for record in found) for folder, found in records.items()},
    }
    accepted, held_out = figures["accepted"], figures["held_out"]
    info(f"ingest: {accepted} of {num_inputs} inputs, {len(rows)} clips, {held_out} of them held out")
    return figures
