"""The kinds of source that a descriptor may name, one section for each with the settings of its adapter.

Paths and patterns in them are relative to the dataset's folder (``dataset.path``), which may also be an ``s3://``
prefix; those of a union's member are relative to the member's folder.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from walt.core.config import Section

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Absent = Literal["refuse", "skip"]
"""Whether a row without a file is refused as ``missing``, or (if only a part of the dataset is here) not an input."""


class CaptionedFolder(Section):
    """A folder of videos and images with a table of captions; files that no row names are inputs too."""

    kind: Literal["captioned_folder"]
    captions: str
    """A table (``walt.ingest.sources.tables``), relative to the folder or absolute: it may be outside."""
    path_column: str
    caption_column: str


class PlainFolder(Section):
    """Files without captions."""

    kind: Literal["folder"]
    patterns: Names
    """Globs such as ``**/*`` or ``videos/**/*.mp4``; the videos and images that they match are inputs."""


class FileList(Section):
    """A table with one file or URL per row; only its rows are inputs."""

    kind: Literal["list"]
    tables: Names
    """Files (``walt.ingest.sources.tables``); globs are allowed."""
    path_column: str
    caption_columns: tuple[str, ...]
    """The first of these columns that is not empty in a row is its caption."""
    label_column: str | None
    """Column of class numbers, or of names from the descriptor's ``classes``."""
    span_columns: tuple[str, str] | None
    """Columns with a span's start and end in seconds (or ``H:MM:SS.mmm``); null: the whole file."""
    videos: str
    """Folder that relative paths are relative to."""
    absent: Absent


class WebVid(Section):
    """WebVid's lists: ``videoid,name,page_idx,page_dir,duration,contentUrl`` in any order."""

    kind: Literal["webvid"]
    tables: Names
    videos: str
    """Folder with ``<page_dir>/<videoid>.mp4``."""
    files: Literal["page_dir", "content_url"]
    """``page_dir``: files under ``videos``; ``content_url``: URLs that are fetched."""
    absent: Absent


class Panda70M(Section):
    """Panda-70M's lists: one row per source video, with lists of spans, captions and scores."""

    kind: Literal["panda70m"]
    tables: Names
    videos: str
    """Folder with ``<videoID>.mp4``."""
    min_matching_score: float
    """Spans whose caption has a lower score are not inputs; 0 accepts all."""
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
    """Folder of the validation pictures, also sorted into folders of wnids; null: held out by hash."""


KeyRule = Literal["first_dot", "last_dot"] | Names
"""Where the key of a tar's member ends: at a dot of its name, or before the longest of these suffixes that fits, such
as ``base.mp4`` (at the last dot where none fits)."""
Damaged = Literal["stop", "refuse"]
"""Whether a tar that is cut short ends the stage with status 5, or is refused as one input."""


class WebDatasetTars(Section):
    """Tars whose members are samples: ``key.mp4``, ``key.txt``, ``key.json``, ``key.cls``."""

    kind: Literal["webdataset"]
    tars: Names
    """Files; globs are allowed."""
    caption: str | Names
    """Where the captions are, one or several: ``txt``, ``json:caption``, ``json:model.long``, ``info.json:title``, or
    ``index:captions`` (in ``TAR.json`` beside the tar)."""
    damaged: Damaged
    key_ends_at: KeyRule = "last_dot"
    video: str | tuple[str, ...] = ()
    """Extensions of the members that are inputs, such as ``mp4`` or ``base.mp4``; empty: all pictures and videos."""
    number_keys: tuple[str, ...] = ()
    """Keys of ``key.json`` with numbers to keep."""
    split: dict[Literal["train", "held_out"], Names] | None = None
    """Globs of the tars of each split; null: by hash."""


class Energon(Section):
    """Tars that ``energon prepare`` has indexed: their splits, excluded samples and fields are in ``.nv-meta``."""

    kind: Literal["energon"]
    caption: str | Names | None = None
    """As in ``webdataset``; null: as the ``field_map`` of ``.nv-meta/dataset.yaml`` says."""
    video: str | tuple[str, ...] = ()
    """As in ``webdataset``; empty: as the ``field_map`` says, or all pictures and videos."""
    number_keys: tuple[str, ...] = ()
    damaged: Damaged = "stop"


class ParquetBytes(Section):
    """Parquet tables that hold the files themselves, a row each."""

    kind: Literal["parquet_bytes"]
    tables: Names
    """Files; globs are allowed."""
    column: str
    """Column of bytes, or of a struct of ``bytes`` and ``path``."""
    name_column: str | None = None
    """Column with the file's name, whose suffix says whether it is a picture; null: the struct's ``path``."""
    media: Literal["video", "image"] = "video"
    """What a file without a name is."""
    caption_columns: tuple[str, ...] = ()
    """Columns of text, or of lists of text; all that are not empty are captions of the row."""
    label_column: str | None = None
    """Column of class numbers, or of names from the descriptor's ``classes``."""
    number_columns: tuple[str, ...] = ()
    split: dict[Literal["train", "held_out"], Names] | None = None
    """Globs of the tables of each split; null: by hash."""


class LeRobot(Section):
    """A LeRobot dataset (v2.1 or v3): an input is what one camera saw in one episode; its tasks are its captions."""

    kind: Literal["lerobot"]
    video_keys: tuple[str, ...] = ()
    """Cameras, such as ``observation.images.top``; empty: all."""
    absent: Absent = "refuse"


class FrameFolders(Section):
    """Videos as folders of numbered pictures (``0001.png``, ``0002.png``, ...), in order of their numbers."""

    kind: Literal["frames"]
    folders: Names
    """Globs of folders, such as ``*`` or ``**``; those with numbered pictures directly in them are videos."""
    fps: PositiveFloat
    """Pictures per second."""
    caption: Literal["txt"] | None = None
    """``txt``: the caption of the folder ``a`` is in ``a.txt`` beside it."""
    labels_from_folders: bool = False
    """Whether the first folder of a video's path is the name of its class."""


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


OneSource = (
    CaptionedFolder | PlainFolder | FileList | WebVid | Panda70M | Ucf101 | Kinetics | ImageNet | WebDatasetTars
    | Energon | ParquetBytes | LeRobot | FrameFolders
)  # fmt: skip
"""Every kind but the union."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Member(Section):
    """One collection of a union: where it is, and what a descriptor says about the items of a dataset."""

    path: str
    """Folder inside the dataset's folder (``.`` is that folder itself), or an ``s3://`` prefix of its own."""
    source: Annotated[OneSource, Field(discriminator="kind")]
    classes: str | None
    """The same as the descriptor's ``classes``; null: the labels of this member are ignored."""
    caption_required: bool
    images: bool
    held_out: Share
    generator: ShapesGenerator | None

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        """DVC watches only ``dataset.path``, and would not notice changes elsewhere on this machine."""
        if "://" not in path and (PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts):
            raise ValueError(f"'{path}' leaves the dataset's folder: a member must be inside it, or under s3://")
        return path


class Union(Section):
    """Several collections as one dataset."""

    kind: Literal["union"]
    members: Annotated[dict[str, Member], Field(min_length=1)]
    """By name; an item of a member is named ``<member>/<name>``."""

    @field_validator("members")
    @classmethod
    def _can_begin_a_name(cls, members: dict[str, Member]) -> dict[str, Member]:
        for name in members:
            if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]*", name):
                raise ValueError(f"'{name}': a member's name consists of letters, digits, '_', '.' and '-'")
        return members


AnySource = Annotated[OneSource | Union, Field(discriminator="kind")]
