"""The kinds of source that a descriptor may name, one section for each with the settings of its adapter.

Paths and patterns in them are relative to the dataset's folder (``dataset.path``), which may also be an ``s3://``
prefix; those of a union's member are relative to the member's folder.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, field_validator

from walt.core.config import Section
from walt.ingest.sources.caption_places import CaptionFile

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
    """The files of a folder, without a table; captions are in files of their own, if there are any."""

    kind: Literal["folder"]
    patterns: Names
    """Globs such as ``**/*`` or ``videos/**/*.mp4``; the videos and images that they match are inputs."""
    exclude: tuple[str, ...] = ()
    """Globs of files that are no inputs, such as ``**/*_mask.*``."""
    captions: tuple[CaptionFile, ...] = ()
    """All that a file has are its captions."""
    folders: tuple[Literal["split", "label", "group", "other"], ...] = ()
    """What the folders of a path say, from the first: ``[split, label]`` for ``train/cat/a.mp4``. Files in fewer
    folders have no label."""


class LineFiles(Section):
    """A text with a path per line, and texts with a caption per line, in the same order."""

    kind: Literal["lines"]
    paths: str
    """Such as ``videos.txt``."""
    captions: Names
    """Such as ``[prompts.txt]``, each with as many lines."""
    videos: str = ""
    """Folder that paths are relative to."""
    prefix: str | dict[str, str] = ""
    unlisted: Literal["ignore", "take"] = "ignore"
    """This and the prefix: as for a list."""
    absent: Absent


class Join(Section):
    """A second list of records in a JSON file, each of which belongs to some of the first."""

    records: str
    """Field that holds the list, such as ``videos``."""
    key: str
    """Field that both have, such as ``video_id``; or of the second list only, such as ``id``, where the first has
    ``by``."""
    by: str | None = None


class FileList(Section):
    """A table with one file or URL per row, in CSV, TSV, Parquet, JSON or JSON lines.

    Columns of JSON and Parquet may be inside of others: ``scene.caption``, ``captions.-1.content``,
    ``captions.*.text`` (``walt.ingest.tables.fields``). ``$table`` is the table's own path; in JSON, ``$key`` and
    ``$value`` are the key and the value of a record in a map, and ``$file.meta.id`` is a field of the whole file.
    """

    kind: Literal["list"]
    tables: Names
    """Files (``walt.ingest.tables``); globs are allowed."""
    records: str | None = None
    """Field of a JSON file that holds the list or map of records; null: the file is that list or map; ``*``: each of
    its fields holds a list, whose name is ``$key``, or a map, and a row is what these say of one ``$key``."""
    join: Join | None = None
    explode: tuple[str, ...] = ()
    """Lists of equal length in each record, whose elements side by side are a row each."""
    where: dict[str, tuple[str, ...]] = Field(default={})
    """Rows whose column holds none of these texts are not inputs."""
    path_column: str
    """Column with the file's path or URL, or a template: ``{videoID}.mp4``, ``{label}/{id}_{start:06}.mp4``, where a
    whole number has as many digits, zeros before it."""
    suffixes: tuple[str, ...] = ()
    """Tried after a path that names no file: ``[.mp4, .webm]``."""
    caption_columns: tuple[str, ...]
    """All of these that a row has are its captions, each with the name of its column; a column may hold several.
    Further rows of a file bring further captions."""
    label_column: str | None = None
    """Column of class numbers, or of names from the descriptor's ``classes``."""
    span_columns: tuple[str, str] | tuple[str] | None = None
    """Columns with a span's start and end in seconds (or ``H:MM:SS.mmm``), or one with both; null: the whole file."""
    split_column: str | None = None
    """Column in which the words ``train``, ``val``, ``validation``, ``test`` ... give the split; ``$table`` for lists
    named like ``train/metadata.csv``. Rows without one of these words: the hash of the bytes decides."""
    group_column: str | None = None
    """Column that says from which recording a row was cut: those of one group are on one side of the split."""
    number_columns: tuple[str, ...] = ()
    """Kept in the manifest, for ``ingest.filter``."""
    videos: str = ""
    """Folder that relative paths are relative to."""
    relative_to: Literal["folder", "table"] = "folder"
    """Whether relative paths, and ``videos``, begin at the dataset's folder or at that of their table."""
    prefix: str | dict[str, str] = ""
    """Beginning of paths that is cut off: the folder on the machine where the table was written. Several of them with
    what stands in their place, as seen from ``videos``: ``{/data/a/: one, /mnt/b/: two}``."""
    fps: PositiveFloat | None = None
    """Pictures per second where a row names a folder of numbered pictures; null: such a row is refused."""
    unlisted: Literal["ignore", "take"] = "ignore"
    """Whether files of the folder that no row names are inputs too, without captions. A row names its file also where
    only a span of it is the input, and where the row is refused or excluded by ``where``."""
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


class WebDatasetTars(Section):
    """Tars whose members are samples: ``key.mp4``, ``key.txt``, ``key.json``, ``key.cls``."""

    kind: Literal["webdataset"]
    tars: Names
    """Files; globs are allowed."""
    caption: str | Names
    """Where captions are: the extension of a member with text (``txt``), one with JSON and a field in it
    (``json:caption``, ``json:model.long``), or ``index:captions`` for a JSON file beside the tar (webshart). Several:
    all that a sample has are its captions."""
    key_ends_at: Literal["last_dot", "first_dot"] = "last_dot"
    """Where the key that joins members ends: in ``a.b.mp4`` after ``a.b``, or after ``a``."""
    video: str | None = None
    """Extension of the pictures or videos, where a key has several: ``base.mp4``; null: all of them are inputs."""
    split: Literal["hash", "name"] = "hash"
    """``name``: that of a tar says it by a word such as ``train`` or ``val``."""
    energon: str | Names | None = None
    """Folder with energon's ``split.yaml``, such as ``.nv-meta``, or several: the splits and what is excluded hold for
    the tars of the folder that it is in."""
    number_fields: tuple[str, ...] = ()
    """Fields of ``.json`` members that are kept in the manifest, for ``ingest.filter``."""
    damaged: Literal["stop", "refuse"]
    """Whether a tar that is cut short ends the stage with status 5, or is refused as one input."""


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
    """Columns of text, or of lists of text, also inside of others (``json.caption``); all that are not empty are
    captions of the row."""
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
    CaptionedFolder
    | PlainFolder
    | LineFiles
    | FileList
    | WebVid
    | Panda70M
    | Ucf101
    | Kinetics
    | ImageNet
    | WebDatasetTars
    | ParquetBytes
    | LeRobot
    | FrameFolders
)
"""Every kind but the union."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _with_a_group(pattern: str | None) -> str | None:
    try:
        groups = 1 if pattern is None else re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"'{pattern}' is not a regular expression: {error}") from None
    if not groups:
        raise ValueError(f"'{pattern}' has no group (...) for the recording's name")
    return pattern


GroupPattern = Annotated[str | None, AfterValidator(_with_a_group)]


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
    group_pattern: GroupPattern = None
    """As in the descriptor."""
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
