"""The names that columns of tables usually have."""

from __future__ import annotations

import re
from collections.abc import Iterable

PATHS = (
    "file_name", "video", "path", "file_path", "video_path", "media_path", "vid", "videoID", "filename", "file",
    "clip_path", "basic.clip_path", "video_name", "video_file", "media", "image", "image_path", "videoid", "video_id",
    "videoId", "YoutubeID", "youtube_id", "clip_id", "id", "key", "name", "url", "video_url", "contentUrl", "$key",
)  # fmt: skip
"""Of the file, the surest first."""

CAPTIONS = (
    "caption", "text", "prompt", "cap", "sentence", "dense_caption", "captions", "texts", "prompts", "description",
    "long_caption", "short_caption", "Caption", "Text", "whole_caption", "enCap", "scene.caption", "narration",
    "narration_text", "video_description",
)  # fmt: skip
"""The surest first; others that have ``caption`` in their names follow."""

SPANS = (
    ("start", "end"), ("start_time", "end_time"), ("time_start", "time_end"), ("begin", "end"), ("from", "to"),
    ("Start_timestamp", "End_timestamp"), ("start_timestamp", "stop_timestamp"), ("start_time", "stop_time"),
    ("start_sec", "end_sec"), ("start_seconds", "end_seconds"), ("start time", "end time"),
    ("timestamp",), ("span",), ("clip.span",), ("segment",), ("interval",), ("time_span",), ("timespan",),
)  # fmt: skip
"""Whatever their case, and with blanks, ``_``, ``-`` or nothing between words: see ``same_name``."""
SPLITS = ("split", "subset", "partition")
GROUPS = ("group", "recording", "source_video", "video_source")
LABELS = ("label", "class", "category", "class_name")

_ABOUT_CAPTIONS = (
    "_name", "_names", "_id", "_ids", "_score", "_scores", "_model", "_type", "_source", "_length", "_len", "_tokens",
    "_truncated", "_path", "_file", "_language", "_lang",
)  # fmt: skip
"""Endings of columns that say something about captions."""

_TECHNICAL = re.compile(
    r"(^|_|\b)(width|height|fps|frames?|num_?frames|n_?frames|duration|seconds|resolution|aspect(_ratio)?|size|bytes|"
    r"idx|index|id|page|len|length|start|end|time|timestamp|channels|bitrate|frame_number)(\b|_|$)",
    re.IGNORECASE,
)


_BETWEEN = re.compile("[ _-]")
_MOMENT = re.compile(r"(^|[_ .])(start|begin|onset|offset|timestamp)([_ ]|$)", re.IGNORECASE)


def is_caption(name: str) -> bool:
    """Whether a column is one of captions, by its name."""
    *above, last = name.lower().split(".")
    if name in CAPTIONS or last in CAPTIONS or ("caption" in last and not last.endswith(_ABOUT_CAPTIONS)):
        return True
    return above[-1:] in (["caption"], ["captions"]) and f"_{last}" not in _ABOUT_CAPTIONS


def same_name(name: str, columns: Iterable[str]) -> str | None:
    """The column with a usual name: as it stands, else in another case or with other signs between its words."""
    if name in columns:
        return name
    plain = _BETWEEN.sub("", name).lower()
    return next((column for column in columns if _BETWEEN.sub("", column).lower() == plain), None)


def is_moment(name: str) -> bool:
    """Whether a column says when something begins or ends, in whatever unit, by its name."""
    return bool(_MOMENT.search(in_words(name)))


def in_words(name: str) -> str:
    """``clipStart`` as ``clip_Start``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def is_path(name: str) -> bool:
    """Whether a column is one of files, by its name."""
    return name in PATHS or name.endswith("_file_name")


def says_more_than_the_file(name: str) -> bool:
    """Whether a column of numbers is kept: sizes, lengths and numbering are in the file or in the row itself."""
    return not _TECHNICAL.search(name.split(".")[-1])
