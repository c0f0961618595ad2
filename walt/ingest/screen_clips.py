"""Accepts or refuses clips by their measures, and finds near-duplicates among all of them.

Nothing is decoded here. The results depend only on the set of clips and the thresholds, so a run that only adds sources
gives the same results as a new run over all of them. About 200 bytes per clip are kept in memory.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from walt.core.paths import printable
from walt.core.sizes import size_folder
from walt.data.manifest import ClipRejectRow
from walt.ingest import clip_filters
from walt.ingest.clip_cache import ClipEntry, SourceEntry
from walt.ingest.config import IngestConfig, ScreenConfig
from walt.ingest.near_duplicates import near_duplicates
from walt.ingest.user_columns import BELOW, ClipBounds


@dataclass(frozen=True)
class ClipRefusal:
    """Why a clip was refused."""

    code: str
    """One of ``clip_filters.RULES``, or ``near_duplicate``."""
    cause: str
    duplicate_of: str | None = None
    """Key of the clip that it resembles."""


Refusals = Mapping[str, Mapping[str, ClipRefusal]]
"""By the source's SHA-256, then by the clip's key."""


@dataclass
class _Prints:
    """Hashes and colours by which near-duplicates are found, of all clips with the same number of hashed frames."""

    keys: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    num_pixels: list[int] = field(default_factory=list)
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    colours: array[float] = field(default_factory=lambda: array("f"))


class Screening:
    """Collects the entries of all sources, one by one and in any order, then says which clips are refused."""

    def __init__(self, config: ScreenConfig, bounds: ClipBounds | None = None) -> None:
        self._config = config
        self._bounds = bounds or ClipBounds()
        self._refused: dict[str, dict[str, ClipRefusal]] = defaultdict(dict)
        self._prints: dict[int, _Prints] = defaultdict(_Prints)

    def add(self, entry: SourceEntry) -> None:
        """Check a source's clips one by one; remember those that pass, to compare them with the others."""
        for clip in entry.clips:
            refusal = check_clip(clip, self._config) or self._outside(clip)
            if refusal:
                self._refused[entry.sha256][clip.key] = refusal
            elif self._config.duplicate_bits is not None:
                prints = self._prints[len(clip.measures.hashes)]
                prints.keys.append(clip.key)
                prints.sources.append(entry.sha256)
                prints.num_pixels.append(entry.num_pixels)
                prints.hashes.extend(int(text, 16) for text in clip.measures.hashes)
                prints.colours.extend(level for colour in clip.measures.colours for level in colour)

    def _outside(self, clip: ClipEntry) -> ClipRefusal | None:
        """The refusal of a clip that the user's filter keeps out."""
        cause = self._bounds.why_refused(clip, self._config)
        return None if cause is None else ClipRefusal(BELOW, cause)

    def refusals(self) -> Refusals:
        """Every refused clip. Of near-duplicates the one with the larger picture is kept; if equal, the one with the
        smaller key."""
        bits, colour = self._config.duplicate_bits or 0, self._config.duplicate_colour
        for length, prints in self._prints.items():  # empty where near-duplicates are accepted
            order = sorted(range(len(prints.keys)), key=lambda i: (-prints.num_pixels[i], prints.keys[i]))
            hashes = np.frombuffer(prints.hashes, dtype=np.uint64).reshape(-1, length)[order]
            colours = np.frombuffer(prints.colours, dtype=np.float32).reshape(len(order), -1)[order]
            for gone, kept in near_duplicates(hashes, colours, bits * length, colour).items():
                original, place = prints.keys[order[kept]], order[gone]
                refusal = ClipRefusal(clip_filters.NEAR_DUPLICATE, f"looks like clip {original}", original)
                self._refused[prints.sources[place]][prints.keys[place]] = refusal
        return self._refused


def check_clip(clip: ClipEntry, config: ScreenConfig) -> ClipRefusal | None:
    """The refusal by the first rule that the clip fails; None: it passes all."""
    found = ((rule.code, rule.cause(clip, config)) for rule in clip_filters.RULES)
    return next((ClipRefusal(code, cause) for code, cause in found if cause is not None), None)


def screened(entry: SourceEntry, refusals: Refusals) -> SourceEntry:
    """The entry with its accepted clips. If it has none, it is refused with the code that most of its clips have."""
    of_bytes = refusals.get(entry.sha256, {})  # several spans of one file may be inputs
    refused = {clip.key: of_bytes[clip.key] for clip in entry.clips if clip.key in of_bytes}
    if not refused:
        return entry
    clips = tuple(clip for clip in entry.clips if clip.key not in refused)
    if clips:
        return replace(entry, clips=clips)
    counts = Counter(refusal.code for refusal in refused.values())
    code = min(counts, key=lambda code: (-counts[code], code))
    if len(refused) == 1:
        return replace(entry, clips=(), code=code, cause=next(iter(refused.values())).cause)
    reasons = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
    return replace(entry, clips=(), code=code, cause=f"all of its {len(refused)} clips were refused: {reasons}")


def clip_reject_rows(entry: SourceEntry, refusals: Refusals, source: str, config: ScreenConfig) -> list[ClipRejectRow]:
    """The rows of a source's refused clips.

    Args:
        entry: with all of its clips.
        source: as the dataset gives it.
    """
    refused = refusals.get(entry.sha256, {})
    return [
        ClipRejectRow(
            key=clip.key, source=printable(source), source_sha256=entry.sha256, start_seconds=clip.start_seconds,
            stage="ingest", code=refusal.code, cause=refusal.cause, duplicate_of=refusal.duplicate_of,
            measures=clip_filters.values(clip, config),
        )
        for clip in entry.clips
        if (refusal := refused.get(clip.key))
    ]  # fmt: skip


def describe_clip(entry: SourceEntry, clip: ClipEntry, config: IngestConfig) -> dict[str, Any]:
    """The manifest's columns with a clip's measures and sizes, and with facts about its source."""
    assert entry.facts is not None, "a source with clips has facts"
    folders = [size_folder(member.size) for member in clip.members]
    everywhere = len(folders) == len(config.all_sizes)
    return {
        "sizes": None if everywhere else ",".join(folders),
        "source_height": entry.facts.height,
        "source_width": entry.facts.width,
        "source_fps": entry.facts.fps,
        "source_seconds": entry.facts.seconds,
        "measures": clip_filters.values(clip, config.screen),
    }
