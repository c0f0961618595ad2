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
"""The surest first; others that have ``caption`` or ``description`` in their names follow."""

SPANS = (
    ("start", "end"), ("start_time", "end_time"), ("time_start", "time_end"), ("begin", "end"), ("from", "to"),
    ("Start_timestamp", "End_timestamp"), ("start_timestamp", "stop_timestamp"), ("start_time", "stop_time"),
    ("start_sec", "end_sec"), ("start_seconds", "end_seconds"), ("start time", "end time"), ("start_s", "end_s"),
    ("start_time_seconds", "end_time_seconds"), ("t_start", "t_end"), ("t0", "t1"), ("in", "out"),
    ("in_point", "out_point"), ("onset", "offset"), ("clip_start", "clip_end"), ("segment_start", "segment_end"),
    ("clip_start_sec", "clip_end_sec"), ("video_start_sec", "video_end_sec"), ("video_start", "video_end"),
    ("begin_time", "end_time"),
    ("start", "stop"), ("start_sec", "stop_sec"), ("start_seconds", "stop_seconds"), ("time_begin", "time_end"),
    ("timestamp",), ("span",), ("clip.span",), ("segment",), ("interval",), ("time_span",), ("timespan",),
    ("time_range",), ("time_window",), ("window",), ("times",), ("ts",),
)  # fmt: skip
"""Whatever their case, and with blanks, ``_``, ``-``, brackets or nothing between words: see ``same_name``."""
SPLITS = ("split", "subset", "partition")
GROUPS = ("group", "recording", "source_video", "video_source")
LABELS = ("label", "class", "category", "class_name")

_ABOUT_CAPTIONS = frozenset((
    "author", "by", "column", "columns", "dropout", "ext", "extension", "key", "mode", "separator", "strategy",
    "chars", "characters", "confidence", "count", "date", "ed", "embed", "embedding", "embeddings",
    "embeds", "emb", "er", "error", "errors", "ers", "feature", "features", "file", "filename", "flag", "flags",
    "hash", "id", "ids", "idx", "index", "ing", "is", "lang", "language", "len", "length", "lengths", "license",
    "loss", "md5", "method", "model", "name", "names", "num", "number", "path", "paths", "perplexity", "ppl",
    "prob", "probability", "prompt", "quality", "rank", "rating", "ratio", "sha256", "sim", "similarities",
    "similarity", "score", "scores", "source", "sources", "state", "status", "time", "timestamp", "token", "tokens",
    "tool", "truncated", "type", "types", "url", "valid", "version", "weight", "weights",
))  # fmt: skip
"""Words and endings behind ``caption`` in names of columns that say something about captions."""
_NOT_CAPTIONS = frozenset((
    "bad", "count", "foil", "has", "is", "len", "n", "neg", "negative", "no", "not", "num", "number", "without",
    "wrong",
))  # fmt: skip
"""Words before it in names of columns that say something about captions, or say what is not to be seen."""
_WORD = re.compile("[^a-z0-9]+")
_CAPTION = re.compile("(?:captions?|descriptions?)([a-z]*)")
_NO_TEXTS = frozenset(("true", "false", "yes", "no", "inf", "nan"))

_TECHNICAL = re.compile(
    r"(^|_|\b)(width|height|fps|frames?|num_?frames|n_?frames|duration|seconds|resolution|aspect(_ratio)?|size|bytes|"
    r"idx|index|id|page|len|length|start|end|time|timestamp|channels|bitrate|frame_number)(\b|_|$)",
    re.IGNORECASE,
)


_BETWEEN = re.compile(r"[ _()\[\]-]")
_MOMENT = re.compile(r"(^|[_ .])(start|begin|onset|offset|timestamp)([_ ]|$)", re.IGNORECASE)
_MOMENTS = frozenset((
    "frame", "frame_id", "frame_idx", "frame_number", "in", "moment", "sec", "second", "seconds",
    "secs", "ss", "st", "t", "t0", "tc", "time", "timecode", "tin",
))  # fmt: skip


def is_caption(name: str) -> bool:
    """Whether a column is one of captions, by its name: not ``caption_score``, ``num_captions`` or ``captioned_by``."""
    *above, last = name.split(".")
    if name in CAPTIONS or last.lower() in CAPTIONS:
        return True
    words = [word for word in _WORD.split(in_words(last).lower()) if word]
    found = [_CAPTION.search(word) for word in words]
    place = next((number for number, match in enumerate(found) if match), None)
    if place is None:
        inside = above[-1:] in (["caption"], ["captions"]) and not is_path(last)
        return inside and _ABOUT_CAPTIONS.isdisjoint(words)
    match = found[place]
    behind = {match[1] if match else "", *words[place + 1 :]}
    return _ABOUT_CAPTIONS.isdisjoint(behind) and _NOT_CAPTIONS.isdisjoint(words[:place])


def may_be_caption(name: str, texts: Iterable[str]) -> bool:
    """Whether what a column of captions by its name holds may be some: of a name that is not quite usual, no numbers
    and truth values."""
    usual = name in CAPTIONS or name.split(".")[-1].lower() in CAPTIONS
    return usual or any(any(map(str.isalpha, text)) and text.strip().lower() not in _NO_TEXTS for text in texts)


def same_name(name: str, columns: Iterable[str]) -> str | None:
    """The column with a usual name: as it stands, else in another case or with other signs between its words."""
    if name in columns:
        return name
    plain = _BETWEEN.sub("", name).lower()
    return next((column for column in columns if _BETWEEN.sub("", column).lower() == plain), None)


def is_moment(name: str) -> bool:
    """Whether a column says when something begins or ends, in whatever unit, by its name."""
    return name.lower() in _MOMENTS or bool(_MOMENT.search(in_words(name)))


def is_end(name: str) -> bool:
    """Whether a column is one of two that say when something begins and ends, by its name."""
    return is_moment(name) or any(same_name(usual, (name,)) for pair in SPANS for usual in pair)


def is_of_form(name: str) -> bool:
    """Whether a column lists the parts of a text that have a form of their own, as messengers export them beside it."""
    return name.endswith("entities")


def in_words(name: str) -> str:
    """``clipStart`` as ``clip_Start``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def is_path(name: str) -> bool:
    """Whether a column is one of files, by its name."""
    return name in PATHS or name.endswith("_file_name")


def says_more_than_the_file(name: str) -> bool:
    """Whether a column of numbers is kept: sizes, lengths and numbering are in the file or in the row itself."""
    return not _TECHNICAL.search(name.split(".")[-1])
