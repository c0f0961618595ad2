"""What is measured of every clip, and the rules that accept or refuse it: one table of each.

The columns of the manifest and of the table of refused clips, the figures of ``walt inspect`` and the codes of refused
clips are made from ``MEASURES`` and ``RULES``. A filter is a function here, an entry in each table, and its threshold
in ``walt.ingest.config.ScreenConfig``.

A measure has one of two origins, which never changes. Those ``at_cut`` are computed from what a worker records about
the decoded frames (``walt.ingest.measures``); they belong to the identity of the clip cache. Those ``of_stored`` are
computed from the clip as it is stored, for the cached clips that lack them (``walt.ingest.stored_measures``). So a new
one decodes no source, and gives the same number whether the clip was cut before or after it was added
(docs/decisions/0015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from walt.ingest.clip_cache import ClipEntry
from walt.ingest.measures import Measures
from walt.media import shots
from walt.media.images import Clip

if TYPE_CHECKING:  # workers import this module for the functions that measure stored clips
    from walt.data.manifest import Value
    from walt.ingest.config import ScreenConfig

TakeOfStored = Callable[[Clip], float | None]
"""A function of the thumbnails, (T, h, w, 3) uint8 RGB, of the smallest stored form of a clip
(``walt.media.shots.thumbnails``); T = 1 for an image. None: the measure does not apply to this clip."""


@dataclass(frozen=True)
class Measure:
    """A column of the manifest and of the table of refused clips."""

    name: str
    unit: str
    """Empty for text, which ``walt inspect`` cannot draw."""
    meaning: str
    kind: type[float | str] = float
    at_cut: Callable[[Measures, ScreenConfig], Value] | None = None
    """Computes it from what was recorded when the clip was cut, at the levels of ``ingest.screen``."""
    of_stored: TakeOfStored | None = None
    """Computes it from the stored clip. Either this or ``at_cut`` is given."""

    def value(self, clip: ClipEntry, config: ScreenConfig) -> Value:
        """Its value for a clip; for an image, measures that compare neighbouring frames are None."""
        return clip.stored_measures[self.name] if self.at_cut is None else self.at_cut(clip.measures, config)


@dataclass(frozen=True)
class Rule:
    """Refuses clips, looking at one clip at a time."""

    code: str
    """For the table of refused clips: short and stable."""
    cause: Callable[[ClipEntry, ScreenConfig], str | None]
    """Why a clip is refused, in one line; None: it passes, or the rule's threshold is null."""


def _shot_cut(clip: ClipEntry, config: ScreenConfig) -> str | None:
    scores = clip.measures.cut_scores
    cuts = shots.cuts(scores, config.cut_score, config.cut_ratio) if config.cuts != "ignore" else []
    return f"frame {cuts[0]} begins another shot (content value {scores[cuts[0] - 1]:.1f})" if cuts else None


def _black(clip: ClipEntry, config: ScreenConfig) -> str | None:
    black = clip.measures.black(config.black_level)
    if config.max_black is None or black <= config.max_black:
        return None
    return f"{black:.0%} of the frames are black, more than {config.max_black:.0%}"


def _frozen(clip: ClipEntry, config: ScreenConfig) -> str | None:
    frozen = clip.measures.frozen(config.frozen_level)
    if config.max_frozen is None or frozen is None or frozen <= config.max_frozen:
        return None
    return f"{frozen:.0%} of the frames repeat the one before, more than {config.max_frozen:.0%}"


def _no_motion(clip: ClipEntry, config: ScreenConfig) -> str | None:
    motion = clip.measures.motion
    if config.min_motion is None or motion is None or motion >= config.min_motion:
        return None
    return f"frames differ by {motion:.2f} grey levels, less than {config.min_motion:g}"


MEASURES: tuple[Measure, ...] = (
    Measure(
        "cut_score", "content value, 0 to 255", "Highest content value (PySceneDetect) between neighbouring frames.",
        at_cut=lambda notes, _: notes.cut_score,
    ),
    Measure(
        "motion", "grey levels", "Mean difference of neighbouring frames.", at_cut=lambda notes, _: notes.motion
    ),
    Measure(
        "black", "share of the frames", "Frames that are darker than screen.black_level.",
        at_cut=lambda notes, config: notes.black(config.black_level),
    ),
    Measure(
        "frozen", "share of the frames", "Frames that repeat the one before, by screen.frozen_level.",
        at_cut=lambda notes, config: notes.frozen(config.frozen_level),
    ),
    Measure(
        "phash", "", "Perceptual hashes of the first, the middle and the last frame, 16 hex digits each; one for an "
        "image.", str, at_cut=lambda notes, _: notes.phash,
    ),
)  # fmt: skip
"""In the order of the columns. Add new ones at the end."""

RULES: tuple[Rule, ...] = (
    Rule("shot_cut", _shot_cut),
    Rule("black", _black),
    Rule("frozen", _frozen),
    Rule("no_motion", _no_motion),
)
"""In the order in which they are applied: the first that refuses a clip gives its code."""

NEAR_DUPLICATE = "near_duplicate"
"""Code of clips that are refused because they look like another clip (``walt.ingest.screen_clips``)."""


def columns() -> dict[str, type[float | str]]:
    """Names and types of the measures' columns."""
    return {measure.name: measure.kind for measure in MEASURES}


def units() -> dict[str, str]:
    """Units of the measures that are numbers, by name."""
    return {measure.name: measure.unit for measure in MEASURES if measure.kind is float}


def values(clip: ClipEntry, config: ScreenConfig) -> dict[str, Value]:
    """The measures of a clip, by column."""
    return {measure.name: measure.value(clip, config) for measure in MEASURES}


def taken_of_stored() -> dict[str, TakeOfStored]:
    """The functions that measure stored clips, by the measure's name."""
    return {measure.name: measure.of_stored for measure in MEASURES if measure.of_stored is not None}
