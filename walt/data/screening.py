"""Judging clips by what was measured of them, and finding near-duplicates among all of them.

Nothing is decoded here. The verdicts depend on the set of clips and the thresholds alone, so a run that only adds
sources comes to what a fresh run over all of them comes to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from walt.core import shots
from walt.core.manifest import ClipRejectRow, printable
from walt.data.clips import size_folder
from walt.data.config import IngestConfig, ScreenConfig
from walt.data.ingestion import ClipEntry, SourceEntry
from walt.data.near_duplicates import Fingerprint, near_duplicates


@dataclass(frozen=True)
class RefusedClip:
    """A clip that does not stay, and why."""

    source_sha256: str
    clip: ClipEntry
    code: str
    """``shot_cut``, ``black``, ``frozen``, ``no_motion`` or ``near_duplicate``."""
    cause: str
    duplicate_of: str | None = None
    """Key of the clip that it is near."""


def screen(entries: Sequence[SourceEntry], config: ScreenConfig) -> tuple[list[SourceEntry], list[RefusedClip]]:
    """Take out the clips that a rule refuses.

    Args:
        entries: one for each source, in any order; those without clips stay as they are.

    Returns:
        The entries, in the same order, with the clips that stay; an entry that is left without any has the code that
        most of them were refused with. And every clip that was refused.
    """
    refused = [
        RefusedClip(entry.sha256, clip, *verdict)
        for entry in entries
        for clip in entry.clips
        if (verdict := judge(clip, config))
    ]
    if config.duplicate_bits is not None:
        gone = {refusal.clip.key for refusal in refused}
        refused += _duplicates(entries, gone, config.duplicate_bits, config.duplicate_colour)
    by_key = {refusal.clip.key: refusal for refusal in refused}
    return [_without(entry, by_key) for entry in entries], refused


def judge(clip: ClipEntry, config: ScreenConfig) -> tuple[str, str] | None:
    """(code, cause) of the first rule that refuses a clip on its own; None: it passes."""
    measures = clip.measures
    cuts = shots.cuts(measures.cut_scores, config.cut_score, config.cut_ratio) if config.cuts != "ignore" else []
    if cuts:
        return "shot_cut", f"frame {cuts[0]} begins another shot (score {measures.cut_scores[cuts[0] - 1]:.1f})"
    black = measures.black(config.black_level)
    if config.max_black is not None and black > config.max_black:
        return "black", f"{black:.0%} of the frames are black, more than {config.max_black:.0%}"
    frozen = measures.frozen(config.frozen_level)
    if config.max_frozen is not None and frozen is not None and frozen > config.max_frozen:
        return "frozen", f"{frozen:.0%} of the frames repeat the one before, more than {config.max_frozen:.0%}"
    if config.min_motion is not None and measures.motion is not None and measures.motion < config.min_motion:
        return "no_motion", f"neighbours differ by {measures.motion:.2f} grey levels, less than {config.min_motion:g}"
    return None


def _duplicates(entries: Sequence[SourceEntry], gone: set[str], bits: int, colour: float) -> list[RefusedClip]:
    """Near-duplicates among the clips that are left: those of larger pictures stay, then those of smaller keys."""
    left = [(entry, clip) for entry in entries for clip in entry.clips if clip.key not in gone]
    left.sort(key=lambda pair: (-pair[0].num_pixels, pair[1].key))
    prints = [Fingerprint(clip.measures.hashes, clip.measures.colours) for _, clip in left]
    refused = []
    for index, kept in near_duplicates(prints, bits, colour).items():
        (entry, clip), original = left[index], left[kept][1].key
        refused.append(RefusedClip(entry.sha256, clip, "near_duplicate", f"looks like clip {original}", original))
    return refused


def _without(entry: SourceEntry, refused: dict[str, RefusedClip]) -> SourceEntry:
    clips = tuple(clip for clip in entry.clips if clip.key not in refused)
    if clips or not entry.clips:
        return replace(entry, clips=clips)
    counts = Counter(refused[clip.key].code for clip in entry.clips)
    code = min(counts, key=lambda code: (-counts[code], code))
    if len(entry.clips) == 1:
        return replace(entry, clips=(), code=code, cause=refused[entry.clips[0].key].cause)
    reasons = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
    return replace(entry, clips=(), code=code, cause=f"all of its {len(entry.clips)} clips were refused: {reasons}")


def measured(clip: ClipEntry, config: ScreenConfig) -> dict[str, Any]:
    """What was measured, by the columns' names of the manifest and of the table of refused clips."""
    measures = clip.measures
    return {
        "cut_score": measures.cut_score,
        "motion": measures.motion,
        "black": measures.black(config.black_level),
        "frozen": measures.frozen(config.frozen_level),
        "phash": measures.phash,
    }


def describe_clip(entry: SourceEntry, clip: ClipEntry, config: IngestConfig) -> dict[str, Any]:
    """The manifest's columns of a clip that say how it passed, and what it was cut from."""
    assert entry.facts is not None, "a source with clips is known"
    folders = {size_folder(member.size) for member in clip.members}
    everywhere = folders == {size_folder(size) for size in config.all_sizes}
    return {
        "sizes": None if everywhere else ",".join(size_folder(member.size) for member in clip.members),
        "source_height": entry.facts.height,
        "source_width": entry.facts.width,
        "source_fps": entry.facts.fps,
        "source_seconds": entry.facts.seconds,
        **measured(clip, config.screen),
    }


def clip_reject_row(refused: RefusedClip, source: str, config: ScreenConfig) -> ClipRejectRow:
    """The row of a refused clip; ``source`` as the dataset gives it."""
    return ClipRejectRow(
        key=refused.clip.key, source=printable(source), source_sha256=refused.source_sha256,
        start_seconds=refused.clip.start_seconds, stage="ingest", code=refused.code, cause=refused.cause,
        duplicate_of=refused.duplicate_of, **measured(refused.clip, config),
    )  # fmt: skip
