"""Stage ``ingest``: source files -> clips in tars of each size, a manifest, and tables of what was refused.

The order of work: the source lists inputs; each is read once, in a process that can be killed, which
hashes it and, where the cache has no clips of these bytes, decodes it and cuts it into clips of its sizes; the same
bytes twice are one source; clips are screened; those that stay are packed into tars by the hash of their source.
Neither the order of listing nor the number of workers changes a byte.
Inputs = accepted + rejected, and clips = those in the manifest + those in the table of refused clips.

In memory are the listing and a few hundred bytes per source. Clips are in the cache on disk and are read one tar at a
time (docs/scale.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from walt.core.compute import ComputeConfig
from walt.core.config import Section, load_section
from walt.core.errors import CorruptArtifactError
from walt.core.log import info, warning
from walt.core.paths import Paths
from walt.core.printable import printable
from walt.core.storage import TEMPORARY_SUFFIX, check_folder_writable, storage_errors
from walt.data.captions import shown_name
from walt.data.clip_table import ClipRow
from walt.data.clip_table_writer import write_clip_rows
from walt.data.manifest import (
    ClipRejectRow,
    ManifestRow,
    RejectRow,
    has_manifest,
    read_sources,
    write_clip_rejects,
    write_manifest,
    write_rejects,
)
from walt.data.shards import ShardRecord
from walt.ingest.clip_cache import ClipCache
from walt.ingest.clip_filters import columns as measure_columns
from walt.ingest.clip_filters import taken_of_stored
from walt.ingest.clip_rule import ClipRule
from walt.ingest.clip_tars import (
    MOST_PART_ROWS,
    PlannedClip,
    Source,
    assign_parts,
    assign_shards,
    planned_clips,
    publish_tars,
)
from walt.ingest.config import DatasetConfig, Descriptor, IngestConfig
from walt.ingest.mirror import check_mirror, mirror
from walt.ingest.read_sources import read_all, reject_row
from walt.ingest.reject_limit import check_reject_limit
from walt.ingest.screen_clips import Refusals, clip_reject_rows, describe_clip, screened
from walt.ingest.sources.adapters import list_items
from walt.ingest.sources.items import Item, Listing
from walt.ingest.splits import assign_splits
from walt.ingest.stored_measures import MeasuredCache
from walt.ingest.taken_down import TakenDown, forget
from walt.ingest.user_columns import BELOW, ClipBounds, UserColumns

_MOST_SHOWN = 10
"""Names in a line of the log."""
_CAPTIONS = "captions: "
"""Before the name of a kind of caption, where they are counted."""


class Config(Section):
    """The sections that this stage reads."""

    dataset: DatasetConfig
    ingest: IngestConfig
    compute: ComputeConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Make ``data/clips``, ``data/manifest``, ``data/rejects.parquet`` and ``data/clip_rejects.parquet``.

    Raises:
        ConfigurationError: the descriptor, the folder or the captions table is missing or wrong, or ``ingest.output``
            holds files of others.
        StorageError: an output cannot be written, known before any work; or storage fails later, and a rerun continues.
        RejectLimitError: more than ``reject_limit`` of the inputs were rejected, or none was accepted. The rejects
            table is written before.
    """
    descriptor = load_section(paths.root / config.dataset.descriptor, Descriptor)
    for output in (paths.clips, paths.manifest, paths.work("ingest")):
        check_folder_writable(output)
    if config.ingest.output:
        check_mirror(paths, config.ingest.output)
    listing = list_items(descriptor, paths.root, config.dataset.path, config.ingest.max_caption_characters)
    gone = _gone(paths, listing)
    columns = UserColumns.read(paths.root, listing.items, of_union=descriptor.source.kind == "union")
    columns.check(config.ingest.filter)
    let_in, filtered = _filtered(listing, columns, config.ingest)
    rejects = filtered + [reject_row(refusal.source, None, refusal.code, refusal.cause) for refusal in listing.refusals]
    rule = ClipRule.from_config(config.ingest, any(member.images for member in descriptor.members().values()))
    work = paths.work("ingest")
    cache = MeasuredCache(work / "sources", rule, taken_of_stored())
    listed = [Source(item) for item in let_in]
    bounds = ClipBounds.of(columns, config.ingest.filter)
    with storage_errors(work):
        taken = TakenDown.read(paths.root)
        found, decoded = read_all(listed, rule, cache, work, config.ingest, config.compute, bounds, taken)
    refusals = found.screening.refusals()
    screened_out, clip_rejects = _screen(found.sources, cache, refusals, config)
    rejects += found.rejects + screened_out
    accepted = [source for source in found.sources if source.num_clips]
    num_inputs = len(listing.items) + len(listing.refusals)
    assert num_inputs == len(accepted) + len(rejects), "inputs = accepted + rejected"
    write_rejects(paths.rejects, rejects)
    write_clip_rejects(paths.clip_rejects, clip_rejects, measure_columns())
    inputs = Counter(map(descriptor.member_of, listing.sources()))
    check_reject_limit(descriptor, inputs, accepted, rejects, config.ingest.reject_limit, paths.rejects)

    assign_splits(accepted, listed)
    shards = assign_shards(accepted, config.ingest.clips_per_shard)
    parts = assign_parts(shards, MOST_PART_ROWS)
    shards = {number: sources for tars in parts.values() for number, sources in tars.items()}
    counts: Counter[str] = Counter()
    with storage_errors(paths.clips):
        records = publish_tars(paths.clips, work / "shards", cache, shards, refusals, rule)
        rows = partial(_rows, cache, refusals, rule, config.ingest, columns)
        write_clip_rows(paths.clips, (ClipRow.of(row) for row in rows(Counter(), shards)))
        of_parts = ((part, rows(counts, tars)) for part, tars in parts.items())
        write_manifest(paths.manifest, of_parts, measure_columns() | columns.kinds)
        paths.manifest.with_suffix(".parquet").unlink(missing_ok=True)  # its form before it had parts
        _prune(cache, None if filtered else listed, {*taken.digests, *found.taken_down})
        _remove_temporary(paths.rejects, paths.clip_rejects)
    figures = _figures(num_inputs, rejects, clip_rejects, counts, records, decoded) | {"gone": len(gone)}
    if descriptor.source.kind == "union":
        figures["members"] = _by_member(descriptor, inputs, accepted)
    if config.ingest.output:
        figures["uploaded"] = mirror(paths, config.ingest.output)
    return figures


def _prune(cache: ClipCache, listed: list[Source] | None, taken_down: set[str]) -> None:
    """Remove what is not an input from the cache; where there is a filter (None), only what was taken down: what a
    filter keeps out is not hashed, and stays cut for when it is let in again."""
    if listed is not None:
        cache.prune({source.file.name for source in listed})
    forget(cache.folder.parent, taken_down)


def _remove_temporary(*tables: Path) -> None:
    """What killed runs left beside the tables."""
    for table in tables:
        for left in table.parent.glob(f"{table.name}.*{TEMPORARY_SUFFIX}"):
            left.unlink()


def _by_member(descriptor: Descriptor, inputs: Counter[str], accepted: list[Source]) -> dict[str, str]:
    """How many inputs of each member of a union were accepted."""
    kept = Counter(descriptor.member_of(source.item.source) for source in accepted)
    return {name: f"{kept[name]} of {count} inputs" for name, count in sorted(inputs.items())}


def _filtered(listing: Listing, columns: UserColumns, config: IngestConfig) -> tuple[list[Item], list[RejectRow]]:
    """The inputs that the user's filter lets through by their numbers, and rows for the others."""
    kept = list[Item]()
    rejects = list[RejectRow]()
    for item in listing.items:
        cause = columns.why_refused(item, config.filter)
        if cause is None:
            kept.append(item)
        else:
            rejects.append(reject_row(item.source, None, BELOW, cause))
    return kept, rejects


def _gone(paths: Paths, listing: Listing) -> list[str]:
    """Sources of the last run's tables that are not inputs now; a message names them."""
    before: set[str] = set()
    for table, is_there in ((paths.manifest, has_manifest(paths.manifest)), (paths.rejects, paths.rejects.is_file())):
        try:
            before |= read_sources(table) if is_there else set()
        except CorruptArtifactError as error:
            warning(f"ingest: made again: {error}")
    before -= {printable(item.source) for item in listing.items}
    gone = sorted(before - {printable(refusal.source) for refusal in listing.refusals})
    if gone:
        shown = ", ".join(gone[:_MOST_SHOWN]) + (" ..." if len(gone) > _MOST_SHOWN else "")
        warning(f"ingest: {len(gone)} sources are gone since the last run: {shown}")
    return gone


def _screen(
    sources: list[Source], cache: ClipCache, refusals: Refusals, config: Config
) -> tuple[list[RejectRow], list[ClipRejectRow]]:
    """Note for each source which clips stay.

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
            rejects.append(reject_row(source.item.source, source.sha256, left.code, left.cause))
    return rejects, clips


# ------------------------------------------------------------------------------------------------------------ outputs


def _rows(
    cache: ClipCache,
    refusals: Refusals,
    rule: ClipRule,
    config: IngestConfig,
    columns: UserColumns,
    counts: Counter[str],
    shards: dict[int, list[Source]],
) -> Iterator[ManifestRow]:
    """All rows, one tar after the other; ``counts`` collects what the figures need."""
    for number, sources in shards.items():
        for planned in planned_clips(sources, cache, refusals):
            row = _row(planned, number, rule, config, columns)
            counts.update([f"{row.kind}s", row.split, *(["captions_cut"] if row.caption_truncated else [])])
            counts.update([_CAPTIONS + caption.name for caption in row.captions] or ["uncaptioned"])
            yield row


def _row(planned: PlannedClip, number: int, rule: ClipRule, config: IngestConfig, columns: UserColumns) -> ManifestRow:
    item, clip = planned.item, planned.clip
    described = describe_clip(planned.entry, clip, config)
    described["measures"] |= columns.of(item, clip.key)
    seconds = clip.num_frames / rule.fps if clip.kind == "video" else 0.0
    return ManifestRow(
        key=clip.key, kind=clip.kind, split=planned.split, source=printable(item.source),
        source_sha256=planned.file.sha256, start_seconds=clip.start_seconds,
        end_seconds=clip.start_seconds + seconds, num_frames=clip.num_frames, captions=item.captions,
        caption_truncated=item.caption_truncated, label=item.label, shard=number, sha256=clip.members[-1].sha256,
        group=None if item.group is None else printable(item.group), **described,
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
        "captions": {
            shown_name(name.removeprefix(_CAPTIONS)): number
            for name, number in sorted(counts.items())
            if name.startswith(_CAPTIONS)
        },
        "uncaptioned": counts["uncaptioned"],
        "captions_cut": counts["captions_cut"],
        "bytes": {folder: sum(record.bytes for record in found) for folder, found in records.items()},
    }
    accepted, held_out, clips = figures["accepted"], figures["held_out"], figures["clips"]
    info(f"ingest: {accepted} of {num_inputs} inputs, {clips} clips, {held_out} of them held out")
    return figures
