"""All inputs read: each visited by a worker process, what it brings put into the cache, duplicates told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from walt.core.compute import ComputeConfig
from walt.core.errors import StorageError
from walt.core.log import ProgressBar
from walt.core.paths import printable
from walt.core.storage import clean_temporary
from walt.data.manifest import RejectRow
from walt.ingest.clip_cache import TRANSIENT, ClipCache, cut_source
from walt.ingest.clip_rule import ClipRule
from walt.ingest.clip_tars import Source
from walt.ingest.config import IngestConfig
from walt.ingest.hash_and_cut import DOWNLOAD_SECONDS, Found, Hints, Visit, only_hash, visit
from walt.ingest.screen_clips import Screening
from walt.ingest.sources.items import Span
from walt.ingest.sources.locations import is_elsewhere
from walt.ingest.stored_measures import MeasuredCache, fill_in
from walt.media.video import too_short
from walt.workers.execute import map_items

TEMPORARY_FOLDER = "fetched"


@dataclass
class Read:
    """What the inputs turned out to be."""

    screening: Screening
    """It has looked at the clips of all sources."""
    sources: list[Source] = field(default_factory=list)
    """The first, in order, of those with the same bytes and span."""
    rejects: list[RejectRow] = field(default_factory=list)
    unknown: list[Source] = field(default_factory=list)
    """Of which there are neither clips nor a reason why."""


def read_all(
    listed: list[Source], rule: ClipRule, cache: MeasuredCache, work: Path, ingest: IngestConfig, compute: ComputeConfig
) -> tuple[Read, int]:
    """Bring the cache up to date with all inputs. Gives what they are, and how many were decoded now.

    Measures of stored clips are taken afterwards, of the cached clips, where they are missing.

    A worker that died took the hash with it: it is taken by itself then, so that the table of rejects has it and the
    same bytes elsewhere are duplicates all the same. Workers on other machines may have looked into a cache that is not
    ours: what they found there is cut after all.

    Args:
        listed: in the order that decides which of the same bytes is the source. Their hashes are noted.
        work: the stage's folder; temporary files and hints lie in it.

    Raises:
        StorageError: a bucket cannot be read, or the disk is full.
    """
    folder = work / TEMPORARY_FOLDER
    if folder.is_dir():
        clean_temporary(folder)
    visits = _Visits(cache, Hints(work / "remote.jsonl"), ingest, compute)
    cut = partial(cut_source, rule)
    dead = visits.make("ingest: reading", partial(visit, folder, cut, cache.unmeasured), listed)
    if dead:
        visits.make("ingest: hashing what failed", partial(only_hash, folder, cut), dead)
    fill_in((source.file for source in listed if source.sha256), cache, ingest, compute)
    read = _told_apart(listed, rule, cache, ingest)
    if read.unknown:
        visits.make("ingest: reading again", partial(visit, folder, cut, None), read.unknown)
        fill_in((source.file for source in read.unknown if source.sha256), cache, ingest, compute)
        read = _told_apart(listed, rule, cache, ingest)
    if read.unknown:
        raise StorageError(f"{cache.folder}: clips that were stored there are gone; run again")
    return read, visits.num_decoded


def reject_row(source: str, sha256: str | None, code: str | None, cause: str) -> RejectRow:
    """A row of the table of rejects."""
    return RejectRow(printable(source), sha256, "ingest", code or "unknown", printable(cause))


class _Visits:
    """Has workers go to sources, and keeps what they bring."""

    def __init__(self, cache: ClipCache, hints: Hints, ingest: IngestConfig, compute: ComputeConfig) -> None:
        self._cache, self._hints, self._ingest, self._compute = cache, hints, ingest, compute
        self.num_decoded = 0
        self._num_refused = 0

    def make(self, title: str, function: Callable[[Visit], Found], sources: list[Source]) -> list[Source]:
        """Visit all, those on servers first. Gives those at which a worker died."""
        dead: list[Source] = []
        seconds, memory = self._ingest.timeout_seconds, self._ingest.memory_mb
        with ProgressBar(title, len(sources), "files", meters=("clips", "MB"), counters=("rejects",)) as bar:
            bar.advance(0, rejects=self._num_refused)
            for elsewhere, limit in ((True, seconds + DOWNLOAD_SECONDS), (False, seconds)):
                groups = partial(_by_location, sources, elsewhere)
                jobs = map(self._visit, groups())
                outcomes = map_items(function, jobs, self._compute, timeout_seconds=limit, memory_mb=memory)
                for group, outcome in zip(groups(), outcomes, strict=True):
                    found = outcome.value
                    if found is None:
                        assert outcome.failure is not None
                        found = Found(code=outcome.failure.code, cause=outcome.failure.cause)
                        dead += group
                    entries = [entry for _, entry, _ in found.results]
                    refused = len(group) if found.code else sum(bool(entry.code) for entry in entries)
                    refused = 0 if group[0].refusal else refused  # counted when its worker died
                    self._keep(found, group)
                    self._num_refused += refused
                    clips = sum(len(entry.clips) for entry in entries)
                    bar.advance(len(group), clips=clips, MB=found.num_bytes / 1e6, rejects=refused)
        return dead

    def _visit(self, group: list[Source]) -> Visit:
        location = group[0].item.path
        parts = tuple((source.item.kind, source.item.span) for source in group)
        return Visit(location, parts, self._hints.get(location))

    def _keep(self, found: Found, group: list[Source]) -> None:
        """Results go where the next run finds them; what says nothing about the bytes is noted of the source."""
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


def _by_location(sources: list[Source], elsewhere: bool) -> Iterator[list[Source]]:
    """Local sources one by one; the parts of a remote file together, so that it is fetched once."""
    parts: dict[str, list[Source]] = {}
    for source in sources:
        if is_elsewhere(source.item.path) != elsewhere:
            continue
        if elsewhere:
            parts.setdefault(source.item.path, []).append(source)
        else:
            yield [source]
    yield from parts.values()


def _told_apart(listed: list[Source], rule: ClipRule, cache: ClipCache, ingest: IngestConfig) -> Read:
    """Decide which sources are duplicates and which are refused; note how many clips the others have, and have these
    screened."""
    read = Read(Screening(ingest.screen))
    first: dict[tuple[str, Span | None], Source] = {}
    may_be_stills = rule.stills and rule.num_frames > 1
    for source in listed:
        item, sha256, reason = source.item, source.sha256, source.refusal
        place, strict = (sha256, item.span), may_be_stills and not item.stills
        entry = cache.get(source.file) if sha256 and (strict or place not in first) else None
        if strict and entry and any(clip.kind == "image" for clip in entry.clips):  # another member takes stills
            refusal = too_short(1, rule.fps, rule.num_frames)
            read.rejects.append(reject_row(item.source, sha256, refusal.code, refusal.cause))
            continue
        if sha256:
            earlier = first.setdefault(place, source)
            if earlier is not source:
                cause = f"the same bytes as {earlier.item.source}"
                read.rejects.append(reject_row(item.source, sha256, "duplicate", cause))
                continue
            read.sources.append(source)
        if entry:  # whichever copy of these bytes lived: that another one's worker died says nothing of them
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
