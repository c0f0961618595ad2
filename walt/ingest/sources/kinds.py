"""The kinds of source that a descriptor may name, one section each: what the adapter of that kind needs to know.

Paths and patterns in them count from the dataset's folder (``dataset.path``), which may also be an ``s3://`` prefix;
those of a union's member from the member's folder.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from walt.core.config import Section

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Absent = Literal["refuse", "skip"]
"""What a row without a file is: an input that is refused as ``missing``, or (a part of the dataset is here) none."""


class CaptionedFolder(Section):
    """A folder of videos and images with a table of captions; files that no row names are inputs too."""

    kind: Literal["captioned_folder"]
    captions: str
    """A table (``walt.ingest.sources.tables``), relative to the folder or absolute: it may lie outside."""
    path_column: str
    caption_column: str


class PlainFolder(Section):
    """Files without captions."""

    kind: Literal["folder"]
    patterns: Names
    """Globs such as ``**/*`` or ``videos/**/*.mp4``; of what they match, videos and images are inputs."""


class FileList(Section):
    """A table with a file or URL a row; only its rows are inputs."""

    kind: Literal["list"]
    tables: Names
    """Files (``walt.ingest.sources.tables``); globs are allowed."""
    path_column: str
    caption_columns: tuple[str, ...]
    """The first of them that is not empty in a row is its caption."""
    label_column: str | None
    """Class numbers, or names out of the descriptor's ``classes``."""
    span_columns: tuple[str, str] | None
    """Columns with a span's start and end in seconds (or ``H:MM:SS.mmm``); null: the whole file."""
    videos: str
    """Folder that relative paths count from."""
    absent: Absent


class WebVid(Section):
    """WebVid's lists: ``videoid,name,page_idx,page_dir,duration,contentUrl`` in any order."""

    kind: Literal["webvid"]
    tables: Names
    videos: str
    """Folder with ``<page_dir>/<videoid>.mp4``."""
    files: Literal["page_dir", "content_url"]
    """Files that lie under ``videos``, or URLs that are fetched."""
    absent: Absent


class Panda70M(Section):
    """Panda-70M's lists: a row a source video, with lists of spans, captions and scores."""

    kind: Literal["panda70m"]
    tables: Names
    videos: str
    """Folder with ``<videoID>.mp4``."""
    min_matching_score: float
    """Spans whose caption matches less are no inputs; 0 takes all."""
    absent: Absent


class Ucf101(Section):
    """UCF-101 with one of its three splits."""

    kind: Literal["ucf101"]
    videos: str
    """Folder with ``<Class>/<clip>.avi``."""
    lists: str
    """Folder with ``classInd.txt``, ``trainlist0N.txt`` and ``testlist0N.txt``."""
    split: Literal[1, 2, 3]
    absent: Absent


class Kinetics(Section):
    """Kinetics' lists: ``label,youtube_id,time_start,time_end,split``; the test list has no label."""

    kind: Literal["kinetics"]
    tables: Names
    videos: str
    """Folder with ``<id>_<start>_<end>.mp4``, in folders of classes, of splits, of both, or flat."""
    absent: Absent


class ImageNet(Section):
    """ImageNet's folders ``<wnid>/*.JPEG`` with the class index."""

    kind: Literal["imagenet"]
    class_index: str
    """JSON: index -> [wnid, name], 0 .. 999 in the order of the sorted wnids."""
    train: str
    held_out: str | None
    """Folder of the validation pictures, sorted into folders of wnids too; null: held out by hash."""


class WebDatasetTars(Section):
    """Tars whose members are samples: ``key.mp4``, ``key.txt``, ``key.json``, ``key.cls``."""

    kind: Literal["webdataset"]
    tars: Names
    """Files; globs are allowed."""
    caption: str
    """Extension of the caption's member: ``txt``, or ``json`` and a key: ``json:caption``."""
    damaged: Literal["stop", "refuse"]
    """A tar that is cut short ends the stage with status 5, or is refused as one input."""


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


OneSource = CaptionedFolder | PlainFolder | FileList | WebVid | Panda70M | Ucf101 | Kinetics | ImageNet | WebDatasetTars
"""Every kind but the union."""
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Member(Section):
    """One collection of a union: where it lies, and what a descriptor says of the items of a dataset."""

    path: str
    """Folder in the dataset's folder (``.`` is that itself), or an ``s3://`` prefix of its own."""
    source: Annotated[OneSource, Field(discriminator="kind")]
    classes: str | None
    """The descriptor's ``classes``, word for word; null: what labels the source has are left out."""
    caption_required: bool
    images: bool
    held_out: Fraction
    generator: ShapesGenerator | None

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        """What lies elsewhere on this machine would change without DVC's notice: it watches ``dataset.path``."""
        if "://" not in path and (PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts):
            raise ValueError(f"'{path}' leaves the dataset's folder: a member lies below it, or under s3://")
        return path


class Union(Section):
    """Several collections as one dataset."""

    kind: Literal["union"]
    members: Annotated[dict[str, Member], Field(min_length=1)]
    """By name; an item of a member is called ``<member>/<name>``."""

    @field_validator("members")
    @classmethod
    def _can_begin_a_name(cls, members: dict[str, Member]) -> dict[str, Member]:
        for name in members:
            if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]*", name):
                raise ValueError(f"'{name}': a member's name is made of letters, digits, '_', '.' and '-'")
        return members


Source = Annotated[OneSource | Union, Field(discriminator="kind")]
