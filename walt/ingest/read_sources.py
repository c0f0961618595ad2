"""Reads all inputs: worker processes read them, the results go into the cache, and duplicates are found."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from walt.core.compute import ComputeConfig
from walt.core.errors import StorageError
from walt.core.log import ProgressBar
from walt.core.printable import printable
from walt.core.storage import clean_temporary
from walt.data.manifest import RejectRow
from walt.ingest.clip_cache import TRANSIENT, ClipCache, cut_sources
from walt.ingest.clip_rule import ClipRule
from walt.ingest.clip_tars import Source
from walt.ingest.config import IngestConfig
from walt.ingest.hash_and_cut import DOWNLOAD_SECONDS, Hints, LocationResult, LocationTask, only_hash, read_location
from walt.ingest.screen_clips import Screening
from walt.ingest.sources.items import Span
from walt.ingest.sources.locations import is_elsewhere
from walt.ingest.stored_measures import MeasuredCache, fill_in
from walt.ingest.taken_down import CODE as TAKEN_DOWN
from walt.ingest.taken_down import TakenDown
from walt.ingest.user_columns import ClipBounds
from walt.media.video import too_short
from walt.workers.execute import map_items

TEMPORARY_FOLDER = "fetched"
MOST_SPANS = 32
"""Spans of one local file that are read at one go: their clips are in memory together, and come in one message."""


@dataclass
class Read:
    """What reading all inputs found."""

    screening: Screening
    """The clips of all sources have been added to it."""
    sources: list[Source] = field(default_factory=list)
    """The accepted inputs: the first, in order, of those with the same bytes and span."""
    rejects: list[RejectRow] = field(default_factory=list)
    unknown: list[Source] = field(default_factory=list)
    """Sources that have neither clips nor a reason why not."""
    taken_down: set[str] = field(default_factory=set)
    """SHA-256 of the inputs that were refused since they, or what they show, were taken down."""


def read_all(
    listed: list[Source],
    rule: ClipRule,
    cache: MeasuredCache,
    work: Path,
    ingest: IngestConfig,
    compute: ComputeConfig,
    bounds: ClipBounds,
    taken_down: TakenDown,
) -> tuple[Read, int]:
    """Bring the cache up to date with all inputs. Returns what was found, and how many sources were decoded now.

    Measures of stored clips are computed afterwards, from the cached clips that lack them.

    When a worker died, its hash is lost: the source is then hashed separately, so that the table of rejects has the
    hash and other files with the same bytes are still duplicates. Workers on other machines may have looked into
    another cache than ours: what they found only there is cut again.

    Args:
        listed: the inputs, in the order that decides which of several equal files is the source. Their hashes are set.
        work: the stage's folder, for temporary files and hints.
        bounds: what the user's filter says of clips.
        taken_down: what is refused whatever it is called.

    Raises:
        StorageError: a bucket cannot be read, or the disk is full.
    """
    folder = work / TEMPORARY_FOLDER
    if folder.is_dir():
        clean_temporary(folder)
    reading = _Reading(cache, Hints(work / "remote.jsonl"), ingest, compute)
    cut = partial(cut_sources, rule)
    dead = reading.make("ingest: reading", partial(read_location, folder, cut, cache.unmeasured), listed)
    if dead:
        reading.make("ingest: hashing what failed", partial(only_hash, folder, cut), dead)
    fill_in((source.file for source in listed if source.sha256), cache, ingest, compute)
    read = _classify(listed, rule, cache, Screening(ingest.screen, bounds), taken_down)
    if read.unknown:
        reading.make("ingest: reading again", partial(read_location, folder, cut, None), read.unknown)
        fill_in((source.file for source in read.unknown if source.sha256), cache, ingest, compute)
        read = _classify(listed, rule, cache, Screening(ingest.screen, bounds), taken_down)
    if read.unknown:
        raise StorageError(f"{cache.folder}: clips that were stored there are gone; run again")
    return read, reading.num_decoded


def reject_row(source: str, sha256: str | None, code: str | None, cause: str) -> RejectRow:
    """A row of the table of rejects. An unforeseen exception is put down with the file's name, for a report of it."""
    if code == "internal":
        cause = f"{source}: {cause}"
    return RejectRow(printable(source), sha256, "ingest", code or "unknown", printable(cause))


class _Reading:
    """Lets workers read locations, and stores their results."""

    def __init__(self, cache: ClipCache, hints: Hints, ingest: IngestConfig, compute: ComputeConfig) -> None:
        self._cache, self._hints, self._ingest, self._compute = cache, hints, ingest, compute
        self.num_decoded = 0
        self._num_refused = 0

    def make(self, title: str, read: Callable[[LocationTask], LocationResult], sources: list[Source]) -> list[Source]:
        """Read all sources, those on servers first. Returns those at which a worker died."""
        dead: list[Source] = []
        seconds = self._ingest.timeout_seconds
        with ProgressBar(title, len(sources), "files", meters=("clips", "MB"), counters=("rejects",)) as bar:
            bar.advance(0, rejects=self._num_refused)
            for elsewhere, limit in ((True, seconds + DOWNLOAD_SECONDS), (False, seconds)):
                visits: Iterable[list[Source]] = _visits(sources, elsewhere)
                while again := self._visit(read, visits, limit, dead, bar):
                    visits = again
        return dead

    def _visit(
        self,
        read: Callable[[LocationTask], LocationResult],
        visits: Iterable[list[Source]],
        limit: float,
        dead: list[Source],
        bar: ProgressBar,
    ) -> list[list[Source]]:
        """Make these visits; those at which a worker died, alone with its source, are added to ``dead``.

        Returns:
            Visits to make afterwards: the sources of one at which a worker died, each alone; and what one had no time
            for.
        """
        again: list[list[Source]] = []
        begun: deque[list[Source]] = deque()

        def tasks() -> Iterator[LocationTask]:
            for group in visits:
                begun.append(group)
                yield self._task(group)

        memory = self._ingest.memory_mb
        for outcome in map_items(read, tasks(), self._compute, timeout_seconds=limit, memory_mb=memory):
            group, found = begun.popleft(), outcome.value
            if found is None:
                if len(group) > 1:
                    again += [[source] for source in group]
                    continue
                assert outcome.failure is not None
                found = LocationResult(code=outcome.failure.code, cause=outcome.failure.cause)
                dead += group
            if found.left:
                left = {(file.kind, file.span) for file in found.left}
                again.append([source for source in group if (source.item.kind, source.item.span) in left])
                group = [source for source in group if (source.item.kind, source.item.span) not in left]
            entries = [entry for _, entry, _ in found.results]
            refused = len(group) if found.code else sum(bool(entry.code) for entry in entries)
            refused = 0 if group[0].refusal else refused  # counted when its worker died
            self._keep(found, group)
            self._num_refused += refused
            clips = sum(len(entry.clips) for entry in entries)
            bar.advance(len(group), clips=clips, MB=found.num_bytes / 1e6, rejects=refused)
        return again

    def _task(self, group: list[Source]) -> LocationTask:
        location = group[0].item.path
        spans = tuple((source.item.kind, source.item.span) for source in group)
        return LocationTask(location, spans, self._hints.get(location), self._ingest.timeout_seconds / 2)

    def _keep(self, found: LocationResult, group: list[Source]) -> None:
        """Results go into the cache; failures that say nothing about the bytes are noted only in the source."""
        failed: dict[Span | None, tuple[str | None, str]] = {}
        for file, entry, data in found.results:
            if entry.code in TRANSIENT:
                failed[file.span] = (entry.code, entry.cause)
            else:
                self._cache.put(file, entry, data)
        for source in group:
            source.sha256 = found.sha256
            reason = (found.code, found.cause) if found.code else failed.get(source.item.span)
            source.refusal = source.refusal or reason
        if found.hint:
            self._hints.put(group[0].item.path, found.hint)
        self.num_decoded += len(found.results)


def _visits(sources: list[Source], elsewhere: bool) -> Iterator[list[Source]]:
    """The sources that a worker reads at one go: those of a remote file together, so that it is fetched once; the spans
    of a local file or member together, at most ``MOST_SPANS`` of them; and other local sources one by one."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        if is_elsewhere(source.item.path) != elsewhere:
            continue
        if elsewhere or source.item.span:
            groups.setdefault(source.item.path, []).append(source)
        else:
            yield [source]
    for group in groups.values():
        most = len(group) if elsewhere else MOST_SPANS
        for first in range(0, len(group), most):
            yield group[first : first + most]


def _classify(
    listed: list[Source], rule: ClipRule, cache: ClipCache, screening: Screening, taken_down: TakenDown
) -> Read:
    """Decide which sources are duplicates and which are refused; note how many clips the others have, and pass these
    clips on to screening."""
    read = Read(screening)
    first: dict[tuple[str, Span | None], Source] = {}
    may_be_stills = rule.stills and rule.num_frames > 1
    for source in listed:
        item, sha256, reason = source.item, source.sha256, source.refusal
        identity, strict = (sha256, item.span), may_be_stills and not item.stills
        entry = cache.get(source.file) if sha256 and (strict or identity not in first) else None
        if (cause := taken_down.why_refused(sha256, entry, rule.fps)) is not None:
            read.rejects.append(reject_row(item.source, sha256, TAKEN_DOWN, cause))
            read.taken_down.add(sha256)
            continue
        if strict and entry and any(clip.kind == "image" for clip in entry.clips):  # another member takes stills
            refusal = too_short(1, rule.fps, rule.num_frames)
            read.rejects.append(reject_row(item.source, sha256, refusal.code, refusal.cause))
            continue
        if sha256:
            earlier = first.setdefault(identity, source)
            if earlier is not source:
                cause = f"the same bytes as {earlier.item.source}"
                read.rejects.append(reject_row(item.source, sha256, "duplicate", cause))
                continue
            read.sources.append(source)
        if entry:  # one copy of these bytes could be read, so it does not matter that a worker died at another copy
            source.num_clips = len(entry.clips)
            source.has_video = any(clip.kind == "video" for clip in entry.clips)
            read.screening.add(entry)
            reason = (entry.code, entry.cause) if entry.code else None
        elif not reason:
            read.unknown.append(source)
            continue
        if reason:
            read.rejects.append(reject_row(item.source, sha256 or None, *reason))
    return read
