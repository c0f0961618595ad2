"""Judging clips by what was measured of them, and finding near-duplicates among all of them.

Nothing is decoded here. The verdicts depend on the set of clips and the thresholds alone, so a run that only adds
sources comes to what a fresh run over all of them comes to. Of each clip some 200 bytes are kept in memory.
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
from walt.ingest.clip_cache import ClipEntry, SourceEntry
from walt.ingest.config import IngestConfig, ScreenConfig
from walt.ingest.near_duplicates import near_duplicates
from walt.media import shots


@dataclass(frozen=True)
class Refusal:
    """Why a clip does not stay."""

    code: str
    """``shot_cut``, ``black``, ``frozen``, ``no_motion`` or ``near_duplicate``."""
    cause: str
    duplicate_of: str | None = None
    """Key of the clip that it is near."""


Refusals = Mapping[str, Mapping[str, Refusal]]
"""By the source's SHA-256, then by the clip's key."""


@dataclass
class _Prints:
    """What the clips of one number of hashed frames are recognised by."""

    keys: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    num_pixels: list[int] = field(default_factory=list)
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    colours: array[float] = field(default_factory=lambda: array("f"))


class Screening:
    """Takes in the entries of all sources, one by one and in any order, then says which clips do not stay."""

    def __init__(self, config: ScreenConfig) -> None:
        self._config = config
        self._refused: dict[str, dict[str, Refusal]] = defaultdict(dict)
        self._prints: dict[int, _Prints] = defaultdict(_Prints)

    def add(self, entry: SourceEntry) -> None:
        """Judge a source's clips, each on its own; remember those that pass, to compare them with the others."""
        for clip in entry.clips:
            refusal = judge(clip, self._config)
            if refusal:
                self._refused[entry.sha256][clip.key] = refusal
            elif self._config.duplicate_bits is not None:
                prints = self._prints[len(clip.measures.hashes)]
                prints.keys.append(clip.key)
                prints.sources.append(entry.sha256)
                prints.num_pixels.append(entry.num_pixels)
                prints.hashes.extend(int(text, 16) for text in clip.measures.hashes)
                prints.colours.extend(level for colour in clip.measures.colours for level in colour)

    def refusals(self) -> Refusals:
        """Every clip that does not stay. Of near-duplicates the one with the larger picture stays, then the one with
        the smaller key."""
        bits, colour = self._config.duplicate_bits or 0, self._config.duplicate_colour
        for length, prints in self._prints.items():  # none where near-duplicates are let through
            order = sorted(range(len(prints.keys)), key=lambda i: (-prints.num_pixels[i], prints.keys[i]))
            hashes = np.frombuffer(prints.hashes, dtype=np.uint64).reshape(-1, length)[order]
            colours = np.frombuffer(prints.colours, dtype=np.float32).reshape(len(order), -1)[order]
            for gone, kept in near_duplicates(hashes, colours, bits * length, colour).items():
                original, place = prints.keys[order[kept]], order[gone]
                refusal = Refusal("near_duplicate", f"looks like clip {original}", original)
                self._refused[prints.sources[place]][prints.keys[place]] = refusal
        return self._refused


def judge(clip: ClipEntry, config: ScreenConfig) -> Refusal | None:
    """The first rule that refuses a clip on its own; None: it passes."""
    measures = clip.measures
    cuts = shots.cuts(measures.cut_scores, config.cut_score, config.cut_ratio) if config.cuts != "ignore" else []
    if cuts:
        score = measures.cut_scores[cuts[0] - 1]
        return Refusal("shot_cut", f"frame {cuts[0]} begins another shot (content value {score:.1f})")
    black = measures.black(config.black_level)
    if config.max_black is not None and black > config.max_black:
        return Refusal("black", f"{black:.0%} of the frames are black, more than {config.max_black:.0%}")
    frozen = measures.frozen(config.frozen_level)
    if config.max_frozen is not None and frozen is not None and frozen > config.max_frozen:
        return Refusal("frozen", f"{frozen:.0%} of the frames repeat the one before, more than {config.max_frozen:.0%}")
    motion = measures.motion
    if config.min_motion is not None and motion is not None and motion < config.min_motion:
        return Refusal("no_motion", f"frames differ by {motion:.2f} grey levels, less than {config.min_motion:g}")
    return None


def screened(entry: SourceEntry, refusals: Refusals) -> SourceEntry:
    """The entry with the clips that stay. One that is left without any is refused, with the code of most of them."""
    of_bytes = refusals.get(entry.sha256, {})  # several parts of one file may be inputs
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
            **_measured(clip, config),
        )
        for clip in entry.clips
        if (refusal := refused.get(clip.key))
    ]  # fmt: skip


def describe_clip(entry: SourceEntry, clip: ClipEntry, config: IngestConfig) -> dict[str, Any]:
    """The manifest's columns of a clip that say how it passed, and what it was cut from."""
    assert entry.facts is not None, "a source with clips is known"
    folders = [size_folder(member.size) for member in clip.members]
    everywhere = len(folders) == len(config.all_sizes)
    return {
        "sizes": None if everywhere else ",".join(folders),
        "source_height": entry.facts.height,
        "source_width": entry.facts.width,
        "source_fps": entry.facts.fps,
        "source_seconds": entry.facts.seconds,
        **_measured(clip, config.screen),
    }


def _measured(clip: ClipEntry, config: ScreenConfig) -> dict[str, Any]:
    """What was measured, by the columns' names of the manifest and of the table of refused clips."""
    measures = clip.measures
    return {
        "cut_score": measures.cut_score,
        "motion": measures.motion,
        "black": measures.black(config.black_level),
        "frozen": measures.frozen(config.frozen_level),
        "phash": measures.phash,
    }
