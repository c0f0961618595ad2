"""Sections ``dataset`` and ``ingest``, and the dataset descriptor (``datasets/*.yaml``)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from walt.core.config import Section
from walt.ingest.sources.kinds import AnySource, GroupPattern, Member, ShapesGenerator, Share, Union

SizePair = tuple[PositiveInt, PositiveInt]
Bounds = tuple[float | None, float | None]
"""Least and most of a value; None: there is no such bound."""


class DatasetConfig(Section):
    """The ``dataset`` section: which data, and where they are on this machine."""

    descriptor: str
    """Path of the YAML file that describes the data."""
    path: str
    """Folder that holds the source files."""


class Descriptor(Section):
    """A dataset descriptor: what the data are, not where they are stored."""

    name: str
    summary: str
    licence: str
    homepage: str | None
    source: AnySource
    """Where the items are listed: one of the kinds in ``walt.ingest.sources.kinds``."""
    classes: str | None
    """File with one class name per line, label 0 first, relative to the project's root; null: there are no classes."""
    caption_required: bool | None
    """False: a missing caption is accepted, and the clip is unconditional."""
    images: bool | None
    """Whether still pictures (and videos of exactly one frame) are kept, as clips of one frame."""
    held_out: Share | None
    """Share of the sources that is kept for evaluation, chosen by the hash of their bytes. In a union these three are
    null, since each member has its own."""
    group_pattern: GroupPattern = None
    """Regular expression over an input's name whose first group is the recording that it was cut from: inputs of one
    recording are on one side of the split. Null: groups are only what the source itself says."""
    adherence: Literal["shapes"] | None
    """How ``evaluate`` checks that a sample follows its prompt; null: it cannot."""
    generator: ShapesGenerator | None
    """How ``walt prepare`` makes the source files; null: the user brings them, or the members of a union say it."""

    def members(self) -> dict[str, Member]:
        """The collections of the dataset, by name; a dataset that is not a union is one collection without a name."""
        if isinstance(self.source, Union):
            return {name: self.source.members[name] for name in sorted(self.source.members)}
        assert self.caption_required is not None
        assert self.images is not None
        assert self.held_out is not None
        only = Member(
            path=".", source=self.source, classes=self.classes, caption_required=self.caption_required,
            images=self.images, held_out=self.held_out, generator=self.generator, group_pattern=self.group_pattern,
        )  # fmt: skip
        return {"": only}

    def member_of(self, source: str) -> str:
        """The member's name, with which an item's name begins; empty for a dataset that is not a union."""
        return source.partition("/")[0] if isinstance(self.source, Union) else ""

    @model_validator(mode="after")
    def _check(self) -> Descriptor:
        together = isinstance(self.source, Union)
        for key in ("caption_required", "images", "held_out"):
            if (getattr(self, key) is None) != together:
                said = (
                    "must be null: each member of the union says it" if together else "is null, which only a union's is"
                )
                raise ValueError(f"{key} {said}")
        if together and self.generator is not None:
            raise ValueError("generator must be null: each member of the union says it")
        for name, member in self.members().items():
            if member.classes not in (self.classes, None):
                said = f"'{member.classes}', but classes is {self.classes or 'null'}"
                raise ValueError(f"source.members.{name}.classes is {said}: all members have the same, or null")
            _check_alone(name, self.members())
        if self.classes and not any(member.classes for member in self.members().values()):
            raise ValueError(f"classes is {self.classes}, but no member of the union has classes: it must be null")
        return self


def _check_alone(name: str, members: dict[str, Member]) -> None:
    """A generator empties its folder before it fills it again, so no other member may have files there."""
    folder = PurePosixPath(members[name].path)
    others = {other: member.path for other, member in members.items() if other != name and "://" not in member.path}
    for other, path in others.items():
        if members[name].generator and PurePosixPath(path).is_relative_to(folder):
            raise ValueError(f"source.members.{name}.path is generated: '{other}' cannot be inside it")


class ScreenConfig(Section):
    """``ingest.screen``: what a clip must be like. Every measure is recorded, even where its rule is off (null).

    Thresholds are applied to what the cache holds: changing one decodes nothing (except for ``cuts: split``).
    """

    cuts: Literal["ignore", "refuse", "split"]
    """``refuse``: a clip that crosses a cut between shots is refused; ``split``: clips start again after each cut."""
    cut_score: PositiveFloat
    """A cut has at least this content value (PySceneDetect's, 0 to 255) between neighbouring frames of the clip."""
    cut_ratio: float = Field(ge=1.0)
    """A cut is also at least this many times the mean of the values around it: fast motion is not a cut."""
    min_motion: PositiveFloat | None
    """Mean difference of neighbouring frames, in grey levels (0 to 255), below which a clip counts as motionless."""
    black_level: float = Field(ge=0.0, le=255.0)
    """A frame is black when 98 % of its pixels are darker than this grey level."""
    max_black: Share | None
    """Largest share of black frames."""
    frozen_level: float = Field(ge=0.0, le=255.0)
    """A frame repeats the one before when they differ by this many grey levels or less on average."""
    max_frozen: Share | None
    """Largest share of repeated frames."""
    duplicate_bits: int | None = Field(ge=0, le=8)
    """Near-duplicates differ in at most this many of the 64 bits of a frame's perceptual hash, on average over the
    first, middle and last frame; null: near-duplicates are accepted."""
    duplicate_colour: float = Field(ge=0.0, le=255.0)
    """Near-duplicates also differ by at most this much in the mean colour of each of these frames, in each channel."""


class IngestConfig(Section):
    """The ``ingest`` section: the clip rule, the stored form, and the limits on what is accepted."""

    num_frames: PositiveInt
    """Pixel frames per clip: 1 + T with T divisible by 4."""
    fps: PositiveFloat
    sizes: tuple[SizePair, ...]
    """(height, width) of each form that every clip is stored in; all are made from one decode, of the centre."""
    buckets: tuple[Annotated[tuple[SizePair, ...], Field(min_length=1)], ...]
    """Groups of further sizes, each group of one aspect: a source is stored in those of the nearest aspect as well."""
    upscale: Literal["allow", "leave_out", "refuse"]
    """What happens to sizes larger than the source: ``allow`` makes them by enlarging, ``leave_out`` skips them for
    this source, ``refuse`` refuses the source as too_small."""
    max_crop: Share | None
    """A source is refused if more than this share of it would be cut off for one of its sizes; null: no limit."""
    max_clips_per_video: PositiveInt
    stride_seconds: PositiveFloat | None
    """From one clip's start to the next; null: clips adjoin, num_frames / fps."""
    screen: ScreenConfig
    filter: dict[str, Bounds]
    """Column -> least and most, either null: clips outside are refused as ``below_threshold``. Columns are the numbers
    of the user's own tables, those that ``walt annotate`` adds, and the measures of clips. What has no value in such a
    column is refused."""
    crf: int = Field(ge=0, le=51)
    """H.264 quality of the stored clips (yuv444p); 0 is lossless."""
    clips_per_shard: PositiveInt
    """The most clips that a tar holds (on average 70 % of that), unless one source alone has more."""
    max_caption_characters: PositiveInt
    """Longer captions are truncated, and flagged."""
    min_side: PositiveInt
    """Smaller pictures are refused as too_small."""
    max_pixels: PositiveInt
    """Larger pictures are refused by their header, before decoding."""
    max_seconds: PositiveFloat
    """Longer videos are refused by their header; of a video with spans, the spans that are longer, however long the
    video around them is."""
    timeout_seconds: PositiveFloat
    """A decoder that takes longer than this for one source is killed; what it waits for a busy processor does not
    count (Linux)."""
    memory_mb: PositiveInt
    """Limit on the address space of one decoding process."""
    reject_limit: Share
    """If more than this share of the inputs is rejected, the stage ends with status 3."""
    output: str | None
    """URL of a prefix (``s3://bucket/prefix``) that is kept equal to the clips and tables; null: local files only."""

    @property
    def all_sizes(self) -> tuple[tuple[int, int], ...]:
        """Every size that some clip is stored in, sorted."""
        return tuple(sorted({*self.sizes, *(size for bucket in self.buckets for size in bucket)}))

    def goes_with(self, size: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether every clip that is stored in ``size`` is also stored in ``other``, a smaller size."""
        together = [{*self.sizes, *bucket} for bucket in self.buckets or ((),)]
        return all(other in sizes for sizes in together if size in sizes)

    @property
    def stride_frames(self) -> float:
        """From one clip's start to the next, in frames at ``fps``."""
        return self.num_frames if self.stride_seconds is None else self.stride_seconds * self.fps

    @model_validator(mode="after")
    def _check(self) -> IngestConfig:
        if self.num_frames % 4 != 1:
            raise ValueError(f"num_frames must be 1 + a multiple of 4, not {self.num_frames}")
        if not self.all_sizes:
            raise ValueError("sizes and buckets are both empty: nothing would be stored")
        _check_buckets(self)
        if self.screen.cuts == "split":
            stride = self.stride_frames
            if stride > self.num_frames or abs(stride - round(stride)) > 1e-6 or round(stride) < 1:
                raise ValueError(
                    "screen.cuts is split, which needs frames without gaps: stride_seconds must be null, or a multiple "
                    f"of 1/fps no longer than a clip ({self.num_frames / self.fps:g}), not {self.stride_seconds:g}"
                )
        return self


def _check_buckets(config: IngestConfig) -> None:
    aspects = []
    for bucket in config.buckets:
        height, width = bucket[0]
        if other := next((size for size in bucket if size[0] * width != size[1] * height), None):
            raise ValueError(f"buckets: {other} and {bucket[0]} are in one bucket but differ in aspect")
        if repeated := {*bucket} & {*config.sizes}:
            raise ValueError(f"buckets: {min(repeated)} is one of sizes, which every clip has")
        if width / height in aspects:
            raise ValueError(f"buckets: the one of {bucket[0]} has the aspect of an earlier one")
        aspects.append(width / height)
