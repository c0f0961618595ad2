"""Sections ``dataset`` and ``ingest``, and the dataset descriptor (``datasets/*.yaml``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from walt.core.config import Section
from walt.data.sources.kinds import Source

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class DatasetConfig(Section):
    """The ``dataset`` section: which data, and where they lie on this machine."""

    descriptor: str
    """Path of the YAML file that says what the data are."""
    path: str
    """Folder that holds the source files."""


class ShapesGenerator(Section):
    """Settings of the generated ``shapes`` dataset."""

    kind: Literal["shapes"]
    videos: PositiveInt
    images: int = Field(ge=0)
    size: PositiveInt
    """Side of the square picture in pixels."""
    num_frames: PositiveInt
    fps: PositiveInt
    seed: int


class Descriptor(Section):
    """A dataset descriptor: what the data are, not where they lie."""

    name: str
    summary: str
    licence: str
    homepage: str | None
    source: Source
    """Where the items stand: one of the kinds in ``walt.data.sources.kinds``."""
    classes: str | None
    """File with a class name a line, label 0 first, relative to the project's root; null: the data have no classes."""
    caption_required: bool
    """False: a missing caption is accepted, and the clip is unconditional."""
    images: bool
    """Whether still pictures (and videos of exactly one frame) are kept, as clips of one frame."""
    held_out: Fraction
    """Share of the sources that is kept for evaluation, chosen by the hash of their bytes."""
    adherence: Literal["shapes"] | None
    """How ``evaluate`` checks that a sample obeys its prompt; null: it cannot."""
    generator: ShapesGenerator | None
    """How ``walt prepare`` makes the source files; null: the user brings them."""


class IngestConfig(Section):
    """The ``ingest`` section: the clip rule, the stored form, and the limits on what is let in."""

    num_frames: PositiveInt
    """Pixel frames a clip: 1 + T with T divisible by 4."""
    fps: PositiveFloat
    sizes: tuple[tuple[PositiveInt, PositiveInt], ...] = Field(min_length=1)
    """(height, width) of each stored form; all are made from one decode."""
    max_clips_per_video: PositiveInt
    """Non-overlapping clips taken from one video, from its start."""
    crf: int = Field(ge=0, le=51)
    """H.264 quality of the stored clips (yuv444p); 0 is lossless."""
    clips_per_shard: PositiveInt
    """The most clips that a tar holds (on average seven tenths of it), unless one source alone has more."""
    max_caption_characters: PositiveInt
    """Longer captions are cut, and flagged."""
    min_side: PositiveInt
    """Smaller pictures are refused as too_small."""
    max_pixels: PositiveInt
    """Larger pictures are refused from the header, before decoding."""
    max_seconds: PositiveFloat
    """Longer videos are refused from the header."""
    timeout_seconds: PositiveFloat
    """A decoder that takes longer than this for one source is killed."""
    memory_mb: PositiveInt
    """Address space of one decoding process."""
    reject_limit: Fraction
    """More than this share of rejected inputs ends the stage with status 3."""
    output: str | None
    """URL of a prefix (``s3://bucket/prefix``) that is kept equal to the clips and tables; null: they stay here."""

    @model_validator(mode="after")
    def _check_frames(self) -> IngestConfig:
        if self.num_frames % 4 != 1:
            raise ValueError(f"num_frames must be 1 + a multiple of 4, not {self.num_frames}")
        return self
