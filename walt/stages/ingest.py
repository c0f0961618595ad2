"""Stage ``ingest``: source files -> clips in tars of each size, a manifest, and tables of what was refused.

What decides and in which order: the source lists inputs; files are hashed; the same bytes twice are one source; each
source is decoded once, in a process that can be killed, and cut into clips of its sizes; clips are screened; those that
stay go to tars by the hash of their source. Neither the order of listing nor the number of workers changes a byte.
Inputs = accepted + rejected; and clips = those of the manifest + those of the table of refused clips.

What is in memory: the listing, and a few hundred bytes a source. Clips stand in the cache on disk and are looked at a
tar at a time (docs/scale.md).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from walt.core.compute import ComputeConfig
from walt.core.config import Section, load_section
from walt.core.errors import CorruptArtifactError, RejectLimitError
from walt.core.execute import map_items
from walt.core.log import ProgressBar, info, warning
from walt.core.manifest import (
    ClipRejectRow,
    ManifestRow,
    RejectRow,
    printable,
    read_sources,
    write_clip_rejects,
    write_clips,
    write_manifest,
    write_rejects,
)
from walt.core.paths import Paths
from walt.core.storage import TEMPORARY_SUFFIX, check_writable, storage_errors
from walt.data.clip_tars import PlannedClip, Source, assign_shards, planned_clips, publish_tars
from walt.data.clips import CLIPS_TABLE
from walt.data.config import DatasetConfig, Descriptor, IngestConfig
from walt.data.cutting import ClipRule
from walt.data.fetching import TEMPORARY_FOLDER, Cut, Fetched, cut_anywhere, fetch_all
from walt.data.ingestion import TRANSIENT, ClipCache, SourceEntry, cut_source, hash_files
from walt.data.mirror import check_mirror, mirror
from walt.data.screening import Refusals, Screening, clip_reject_rows, describe_clip, screened
from walt.data.shards import ShardRecord
from walt.data.sources.items import Item, Listing, Span
from walt.data.sources.locations import is_plain
from walt.data.sources.registry import list_items

_HASH_BATCH = 32
_MOST_SHOWN = 10
"""Names in a line of the log."""


class Config(Section):
    """The sections that this stage reads."""

    dataset: DatasetConfig
    ingest: IngestConfig
    compute: ComputeConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Make ``data/clips``, ``data/manifest.parquet``, ``data/rejects.parquet`` and ``data/clip_rejects.parquet``.

    Raises:
        ConfigurationError: the descriptor, the folder or the captions table is missing or wrong.
        StorageError: an output cannot be written, known before any work; or storage fails later, and a rerun goes on.
        RejectLimitError: more than ``reject_limit`` of the inputs were rejected, or none was accepted. The rejects
            table is written before.
    """
    descriptor = load_section(paths.root / config.dataset.descriptor, Descriptor)
    for output in (paths.clips, paths.manifest.parent, paths.work("ingest")):
        check_writable(output)
    if config.ingest.output:
        check_mirror(config.ingest.output)
    listing = list_items(descriptor, paths.root, config.dataset.path, config.ingest.max_caption_characters)
    gone = _gone(paths, listing)
    rejects = [_reject(refusal.source, None, refusal.code, refusal.cause) for refusal in listing.refusals]
    rule = ClipRule.from_config(config.ingest, descriptor.images)
    work = paths.work("ingest")
    cache = ClipCache(work / "sources", rule)
    cut, screening = partial(cut_source, rule), Screening(config.ingest.screen)
    with storage_errors(work):
        fetched, num_fetched = fetch_all(listing.items, work, cut, cache, config.compute, config.ingest)
        sources, unread = _hash(listing.items, fetched, config.compute)
        cut = partial(cut_anywhere, work / TEMPORARY_FOLDER, cut)
        refused, num_decoded = _cut(sources, cut, cache, screening, config)
    refusals = screening.refusals()
    screened_out, clip_rejects = _screen(sources, cache, refusals, config)
    rejects += unread + refused + screened_out
    num_inputs = len(listing.items) + len(listing.refusals)
    accepted = [source for source in sources if source.num_clips]
    assert num_inputs == len(accepted) + len(rejects), "inputs = accepted + rejected"
    write_rejects(paths.rejects, rejects)
    write_clip_rejects(paths.clip_rejects, clip_rejects)
    _check_limit(num_inputs, rejects, config.ingest.reject_limit, paths.rejects)

    _split(accepted, descriptor.held_out)
    shards = assign_shards(accepted, config.ingest.clips_per_shard)
    counts: Counter[str] = Counter()
    with storage_errors(paths.clips):
        records = publish_tars(paths.clips, work / "shards", cache, shards, refusals, rule)
        write_clips(paths.clips / CLIPS_TABLE, _rows(shards, cache, refusals, rule, config.ingest, Counter()))
        write_manifest(paths.manifest, _rows(shards, cache, refusals, rule, config.ingest, counts))
        cache.prune({source.file.name for source in sources})
        for table in (paths.manifest, paths.rejects, paths.clip_rejects):
            for left in table.parent.glob(f"{table.name}.*{TEMPORARY_SUFFIX}"):
                left.unlink()
    decoded = num_fetched + num_decoded
    figures = _figures(num_inputs, rejects, clip_rejects, counts, records, decoded) | {"gone": len(gone)}
    if config.ingest.output:
        figures["uploaded"] = mirror(paths, config.ingest.output)
    return figures


def _gone(paths: Paths, listing: Listing) -> list[str]:
    """Sources of the last run's tables that are no inputs now; said to whoever watches."""
    before: set[str] = set()
    for table in (paths.manifest, paths.rejects):
        try:
            before |= read_sources(table) if table.is_file() else set()
        except CorruptArtifactError as error:
            warning(f"ingest: made anew: {error}")
    before -= {printable(item.source) for item in listing.items}
    gone = sorted(before - {printable(refusal.source) for refusal in listing.refusals})
    if gone:
        shown = ", ".join(gone[:_MOST_SHOWN]) + (" ..." if len(gone) > _MOST_SHOWN else "")
        warning(f"ingest: {len(gone)} sources are gone since the last run: {shown}")
    return gone


def _reject(source: str, sha256: str | None, code: str | None, cause: str) -> RejectRow:
    return RejectRow(printable(source), sha256, "ingest", code or "unknown", printable(cause))


# ---------------------------------------------------------------------------------------------------- hashing, decoding


def _hash(
    items: list[Item], fetched: dict[str, Fetched], compute: ComputeConfig
) -> tuple[list[Source], list[RejectRow]]:
    """Hash what was not fetched. The first, by name, of those with the same bytes is the source; others are aliases."""
    starts = range(0, len(items), _HASH_BATCH)
    names = ([os.fsencode(item.path) for item in items[start : start + _HASH_BATCH]] for start in starts)
    sources: list[Source] = []
    rejects: list[RejectRow] = []
    first: dict[tuple[str, Span | None], Source] = {}
    with ProgressBar("ingest: reading", len(items), "files", meters=("MB",), counters=("rejects",)) as bar:
        for start, outcome in zip(starts, map_items(hash_files, names, compute), strict=True):
            batch = items[start : start + _HASH_BATCH]
            digests = outcome.value or [(None, f"could not be read: {outcome.failure}")] * len(batch)
            for item, (sha256, problem) in zip(batch, digests, strict=True):
                num_bytes, code = _num_bytes(item), "unreadable"
                if item.path in fetched:
                    found = fetched[item.path]
                    sha256, code, problem = found.sha256, found.code or code, found.cause
                if sha256 is None:
                    rejects.append(_reject(item.source, None, code, problem))
                elif earlier := first.get((sha256, item.span)):
                    cause = f"the same bytes as {earlier.item.source}"
                    rejects.append(_reject(item.source, sha256, "duplicate", cause))
                else:
                    sources.append(Source(item, sha256, num_bytes))
                    first[sha256, item.span] = sources[-1]
                bar.advance(MB=num_bytes / 1e6, rejects=not sources or sources[-1].item is not item)
    return sources, rejects


def _num_bytes(item: Item) -> int:
    """Size of a local file, for the progress bar alone."""
    try:
        return Path(item.path).stat().st_size if is_plain(item.path) else 0
    except OSError:
        return 0


def _cut(
    sources: list[Source], cut: Cut, cache: ClipCache, screening: Screening, config: Config
) -> tuple[list[RejectRow], int]:
    """See that the cache has each source's clips, decoding those that it lacks; note how many there are, and have them
    screened.

    Returns:
        The sources that were refused, and how many were decoded now.
    """
    rejects: list[RejectRow] = []
    meters = ("clips", "MB")
    with ProgressBar("ingest: decoding", len(sources), "files", meters=meters, counters=("rejects",)) as bar:

        def note(source: Source, entry: SourceEntry) -> None:
            source.num_clips = len(entry.clips)
            source.has_video = any(clip.kind == "video" for clip in entry.clips)
            screening.add(entry)
            if entry.code:
                rejects.append(_reject(source.item.source, source.sha256, entry.code, entry.cause))
            bar.advance(clips=source.num_clips, MB=source.num_bytes / 1e6, rejects=bool(entry.code))

        todo = []
        for source in sources:
            known = cache.get(source.file)
            if known is None:
                todo.append(source)
            else:
                note(source, known)
        bar.start_rates()
        outcomes = map_items(
            cut, (source.file for source in todo), config.compute,
            timeout_seconds=config.ingest.timeout_seconds, memory_mb=config.ingest.memory_mb,
        )  # fmt: skip
        for source, outcome in zip(todo, outcomes, strict=True):
            if outcome.value:
                entry, data = outcome.value
                if entry.code not in TRANSIENT:
                    cache.put(source.file, entry, data)
            else:
                assert outcome.failure is not None
                entry = SourceEntry(source.sha256, (), None, outcome.failure.code, outcome.failure.cause)
            note(source, entry)
    return rejects, len(todo)


def _screen(
    sources: list[Source], cache: ClipCache, refusals: Refusals, config: Config
) -> tuple[list[RejectRow], list[ClipRejectRow]]:
    """Note of each source which clips stay.

    Returns:
        The sources that are left without any, and all clips that were refused.
    """
    rejects: list[RejectRow] = []
    clips: list[ClipRejectRow] = []
    for source in sources:
        entry = cache.get(source.file) if source.sha256 in refusals else None
        if entry is None or entry.code:
            continue
        left = screened(entry, refusals)
        source.num_clips = len(left.clips)
        source.has_video = any(clip.kind == "video" for clip in left.clips)
        clips += clip_reject_rows(entry, refusals, source.item.source, config.ingest.screen)
        if left.code:
            rejects.append(_reject(source.item.source, source.sha256, left.code, left.cause))
    return rejects, clips


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


def _split(sources: list[Source], held_out: float) -> None:
    """Say of each source whether it is held out, which the dataset's own lists decide, or its hash.

    Where a share so small or sources so few leave nothing held out, the first video that a larger share would take is
    held out, as long as another video is left to train on.
    """
    for source in sources:
        source.split = "held_out" if _draw(source.sha256) < held_out else "train"
        source.split = source.item.split or source.split
    videos = [source for source in sources if source.has_video]
    if any(source.item.split for source in sources):
        if all(source.split == "held_out" for source in sources):
            warning("every source is held out by the dataset's own lists: there is nothing to train on")
    elif all(source.split == "held_out" for source in sources):
        warning("every source would be held out; all are used for training instead")
        for source in sources:
            source.split = "train"
    elif held_out and not any(source.split == "held_out" for source in sources):
        if len(videos) > 1:
            first = min(videos, key=lambda source: (_draw(source.sha256), source.sha256)).sha256
            for source in videos:
                source.split = "held_out" if source.sha256 == first else "train"
            warning(f"too few sources for a held-out share of {held_out:g}: one video is held out")
        else:
            warning(f"too few videos for a held-out share of {held_out:g}: none is held out")


def _draw(sha256: str) -> float:
    """A number in [0, 1) that is evenly spread over the hashes."""
    return int(sha256[-8:], 16) / 2**32


def _rows(
    shards: dict[int, list[Source]],
    cache: ClipCache,
    refusals: Refusals,
    rule: ClipRule,
    config: IngestConfig,
    counts: Counter[str],
) -> Iterator[ManifestRow]:
    """All rows, a tar after the other; ``counts`` takes in what the figures need of them."""
    for number, sources in shards.items():
        for planned in planned_clips(sources, cache, refusals):
            row = _row(planned, number, rule, config)
            counts.update([f"{row.kind}s", row.split, *(["captions_cut"] if row.caption_truncated else [])])
            yield row


def _row(planned: PlannedClip, number: int, rule: ClipRule, config: IngestConfig) -> ManifestRow:
    item, clip = planned.item, planned.clip
    seconds = clip.num_frames / rule.fps if clip.kind == "video" else 0.0
    return ManifestRow(
        key=clip.key, kind=clip.kind, split=planned.split, source=printable(item.source),
        source_sha256=planned.file.sha256, start_seconds=clip.start_seconds, end_seconds=clip.start_seconds + seconds,
        num_frames=clip.num_frames, caption=item.caption, caption_truncated=item.caption_truncated, label=item.label,
        shard=number, sha256=clip.members[-1].sha256, **describe_clip(planned.entry, clip, config),
    )  # fmt: skip


def _figures(
    num_inputs: int,
    rejects: list[RejectRow],
    clip_rejects: list[ClipRejectRow],
    counts: Counter[str],
    records: dict[str, list[ShardRecord]],
    decoded: int,
) -> dict[str, Any]:
    """What the command line prints."""
    figures = {
        "inputs": num_inputs,
        "accepted": num_inputs - len(rejects),
        "rejected": len(rejects),
        "rejects": dict(sorted(Counter(row.code for row in rejects).items())),
        "clip_rejects": dict(sorted(Counter(row.code for row in clip_rejects).items())),
        "decoded_now": decoded,
        "clips": counts["videos"] + counts["images"],
        "videos": counts["videos"],
        "images": counts["images"],
        "held_out": counts["held_out"],
        "captions_cut": counts["captions_cut"],
        "bytes": {folder: sum(record.bytes for record in found) for folder, found in records.items()},
    }
    accepted, held_out, clips = figures["accepted"], figures["held_out"], figures["clips"]
    info(f"ingest: {accepted} of {num_inputs} inputs, {clips} clips, {held_out} of them held out")
    return figures
