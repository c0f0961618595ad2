"""The clip rule, and cutting a source by it: where clips begin, which sizes they have, what is measured of them.

Nothing is encoded or stored here; ``walt.ingest.clip_cache`` does that. Worker processes import this module: no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL

from walt.core.digests import sha256_file, sha256_json
from walt.core.sizes import Size
from walt.ingest import fitting, measures
from walt.ingest.fitting import Upscale, fitting_sizes
from walt.ingest.measures import Measures, measure
from walt.ingest.sources.items import Span
from walt.media import (
    clip_times,
    continuity,
    cropping,
    decoding,
    fingerprints,
    frames,
    images,
    key_frames,
    kinds,
    mp4,
    numbered,
    scaling,
    shots,
    skipping,
    streams,
    together,
    video,
)
from walt.media.images import Clip, Limits, SourceError, crop_and_resize
from walt.media.kinds import Kind, kind_in_file
from walt.media.stills import read_picture
from walt.media.together import moments_of, no_moments, shared_reader
from walt.media.video import Moments, Reader, SourceClip, SourceFacts, read_pictures

if TYPE_CHECKING:  # workers import this module, and should start fast
    from walt.ingest.config import IngestConfig

_MODULES = (
    video, clip_times, together, frames, numbered, decoding, cropping, continuity, streams, skipping, key_frames,
    scaling, mp4, images, kinds, shots, fingerprints, fitting, measures,
)  # fmt: skip
_CODE = (*(str(module.__file__) for module in _MODULES), __file__, str(Path(__file__).with_name("clip_cache.py")))
"""Files that, besides the rule, decide how a file becomes clips: editing them makes old results stale."""
_MOST_BYTES = 128 << 20
_ROUNDING = Fraction(1, 100)  # of a frame, because a span's ends are rounded to milliseconds
_LIBRARIES = mp4.LIBRARY_VERSIONS | measures.LIBRARY_VERSIONS | {"pillow": PIL.__version__}


@dataclass(frozen=True)
class ShotSplit:
    """Thresholds that decide where a shot ends: see ``walt.media.shots.cuts``."""

    score: float
    ratio: float


@dataclass(frozen=True)
class ClipRule:
    """Everything, except the source's bytes, that determines its clips before they are screened."""

    num_frames: int
    fps: float
    common_sizes: tuple[Size, ...]
    buckets: tuple[tuple[Size, ...], ...]
    upscale: Upscale
    max_crop: float | None
    max_clips: int
    stride_seconds: float | None
    split: ShotSplit | None
    """Clips start again after each cut; None: they start at multiples of the stride, regardless of cuts."""
    crf: int
    limits: Limits
    stills: bool
    """Whether images, and videos of exactly one frame, become clips of one frame."""

    @classmethod
    def from_config(cls, config: IngestConfig, stills: bool) -> ClipRule:
        """The rule that the ``ingest`` section and the descriptor's ``images`` state."""
        screen = config.screen
        return cls(
            config.num_frames, config.fps, tuple(sorted(config.sizes)), config.buckets, config.upscale, config.max_crop,
            config.max_clips_per_video, config.stride_seconds,
            ShotSplit(screen.cut_score, screen.cut_ratio) if screen.cuts == "split" else None,
            config.crf, Limits(config.min_side, config.max_pixels, config.max_seconds), stills,
        )  # fmt: skip

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Every size that some clip has, sorted."""
        return tuple(sorted({*self.common_sizes, *(size for bucket in self.buckets for size in bucket)}))

    @cached_property
    def identity(self) -> str:
        """Hex digest of the rule, the code that applies it, and the libraries' versions."""
        code = [sha256_file(file) for file in _CODE]
        return sha256_json({"code": code, "libraries": _LIBRARIES, **asdict(self)})

    def key(self, source_sha256: str, start_seconds: float, span: Span | None) -> str:
        """A clip's name: 32 hex digits from the source's bytes, the clip's start, the clip rule, and the span of the
        input, since spans of one source may overlap."""
        of_span = [] if span is None else [span]
        return sha256_json([source_sha256, start_seconds, self.num_frames, self.fps, *of_span])[:32]

    def sizes_of(self, facts: SourceFacts) -> tuple[Size, ...]:
        """The sizes that a source is cut to, sorted. Raises SourceError (``too_small``, ``aspect``)."""
        return fitting_sizes((facts.height, facts.width), self.common_sizes, self.buckets, self.upscale, self.max_crop)


@dataclass(frozen=True)
class CutClip:
    """A clip in all of its sizes, with its measures."""

    start_seconds: float
    frames: dict[Size, Clip]
    measures: Measures


def cut(
    rule: ClipRule, path: Path, kind: Kind, span: Span | None = None, read: Reader = read_pictures
) -> tuple[SourceFacts, list[CutClip]]:
    """Decode a source into clips.

    Args:
        kind: what the file is listed as; its bytes decide.
        span: only clips within this span of a video; None: all of it.
        read: how a video is read: see ``readers``.

    Raises:
        SourceError: with the code for the rejects table.
        OSError: the file cannot be read.
    """
    if kind_in_file(path, kind) == "image":
        if rule.num_frames > 1 and (span is not None or not rule.stills):
            raise video.too_short(1, rule.fps, rule.num_frames)
        picture = read_picture(path, rule.limits)
        facts = SourceFacts(picture.shape[0], picture.shape[1], None, None)
        pictures = crop_and_resize(picture, rule.sizes_of(facts))
        clips = [SourceClip(0.0, {size: picture[None] for size, picture in pictures.items()}, facts)]
    else:
        if span is not None:
            rule = replace(rule, limits=rule.limits.around(*span))
        clips = _by_shots(rule, path, rule.split, span, read) if rule.split else _by_stride(rule, path, span, read)
    return clips[0].facts, [_measured(clip) for clip in clips]


def readers(rule: ClipRule, path: Path, spans: Sequence[Span | None]) -> Iterator[tuple[int, Reader]]:
    """How many of the next inputs share a decoding of the video, at least one, and the reader to cut them with.

    Their pictures are in memory together, in at most ``_MOST_BYTES`` unless one input alone has more.
    """
    bucket = max((sum(map(_area, sizes)) for sizes in rule.buckets), default=0)
    most = _MOST_BYTES // (3 * (sum(map(_area, rule.common_sizes)) + bucket))
    begin = 0
    while begin < len(spans):
        requests: list[Moments] = []
        num_pictures = 0
        for span in spans[begin:]:
            moments = moments_of(partial(cut, rule, path, "video", span)) if span else no_moments
            num_pictures += len(moments(Fraction(0)))
            if requests and (not span or num_pictures > most):
                break
            requests.append(moments)
            if not span:
                break
        if len(requests) > 1:
            limits = replace(rule.limits, max_seconds=math.inf)
            yield len(requests), shared_reader(path, requests, rule.sizes_of, limits)
        else:
            yield 1, read_pictures
        begin += len(requests)


def _measured(clip: SourceClip) -> CutClip:
    thumbs = shots.thumbnails(clip.frames[min(clip.frames, key=_area)])
    return CutClip(clip.start_seconds, clip.frames, measure(thumbs, shots.content_values(thumbs)))


def _sizes(rule: ClipRule, span: Span | None, facts: SourceFacts) -> tuple[Size, ...]:
    """The sizes that a source, or a span of it, is cut to.

    Raises:
        SourceError: none fits (``too_small``, ``aspect``), or no clip fits into the span (``too_short``).
    """
    sizes, length = rule.sizes_of(facts), rule.num_frames / Fraction(str(rule.fps))
    if span is not None and not _starts_within(span, length, length, Fraction(str(rule.fps)), 1):
        raise SourceError("too_short", f"a span of {span[1] - span[0]:.2f} s, a clip has {float(length):.2f}")
    return sizes


def _by_stride(rule: ClipRule, path: Path, span: Span | None, read: Reader) -> list[SourceClip]:
    rate, starts = Fraction(str(rule.fps)), None
    if span is not None:
        stride = rule.num_frames / rate if rule.stride_seconds is None else Fraction(str(rule.stride_seconds))
        starts = partial(_starts_shown, span, stride, rule.num_frames / rate, rate, rule.max_clips)
    return video.read_clips(
        path, num_frames=rule.num_frames, fps=rule.fps, sizes=partial(_sizes, rule, span), max_clips=rule.max_clips,
        limits=rule.limits, accept_still=rule.stills and span is None, stride_seconds=rule.stride_seconds,
        starts=starts, read=read,
    )  # fmt: skip


def _starts_within(span: Span, stride: Fraction, length: Fraction, rate: Fraction, most: int) -> list[float]:
    """Starts of clips of ``length`` seconds that end within the span: at most ``most``, none if it is too short."""
    begin, end = (Fraction(str(moment)) for moment in span)
    room = end + _ROUNDING / rate - begin - length
    return [float(begin + number * stride) for number in range(max(0, min(most, math.floor(room / stride) + 1)))]


def _starts_shown(
    span: Span, stride: Fraction, length: Fraction, rate: Fraction, most: int, first: Fraction
) -> list[float]:
    """``_starts_within`` of the part of the span from the first frame on."""
    return _starts_within((max(span[0], float(first)), span[1]), stride, length, rate, most)


def _by_shots(rule: ClipRule, path: Path, split: ShotSplit, span: Span | None, read: Reader) -> list[SourceClip]:
    """Clips that start where a shot starts, and then at every stride for as long as the shot lasts.

    They use the same frames as without cuts: those of the first ``max_clips`` clips of the source.
    """
    rate = Fraction(str(rule.fps))
    stride = rule.num_frames if rule.stride_seconds is None else round(rule.stride_seconds * rule.fps)
    wanted = (rule.max_clips - 1) * stride + rule.num_frames
    moments = None if span is None else partial(_starts_shown, span, 1 / rate, 1 / rate, rate, wanted)
    shown = video.read_clips(
        path, num_frames=1, fps=rule.fps, sizes=partial(_sizes, rule, span), max_clips=wanted, limits=rule.limits,
        stride_seconds=float(1 / rate), starts=moments, read=read,
    )  # fmt: skip
    if len(shown) < rule.num_frames:  # a still, or too short: _by_stride decides which
        return _by_stride(rule, path, span, read)
    sizes = [*shown[0].frames]
    smallest = min(sizes, key=_area)
    thumbs = shots.thumbnails(np.concatenate([frame.frames[smallest] for frame in shown]))
    seen = shots.cuts(shots.content_values(thumbs), split.score, split.ratio)
    found = sorted({*seen, *_interruptions(shown, rate)})
    starts = [
        start
        for begin, end in zip([0, *found], [*found, len(shown)], strict=True)
        for start in range(begin, end - rule.num_frames + 1, stride)
    ]
    if not starts:
        cause = f"{len(found)} cuts in {len(shown)} frames, no shot holds a clip of {rule.num_frames}"
        raise SourceError("shot_cut", cause)
    return [
        SourceClip(
            shown[start].start_seconds,
            {
                size: np.concatenate([frame.frames[size] for frame in shown[start : start + rule.num_frames]])
                for size in sizes
            },
            shown[0].facts,
        )
        for start in starts[: rule.max_clips]
    ]


def _interruptions(shown: Sequence[SourceClip], rate: Fraction) -> list[int]:
    """Numbers of the frames before which time began again, or damaged frames were left out."""
    return [
        number
        for number in range(1, len(shown))
        if shown[number].part != shown[number - 1].part
        or (shown[number].start_seconds - shown[number - 1].start_seconds) * rate > 1.5
    ]


def _area(size: Size) -> int:
    return size[0] * size[1]
