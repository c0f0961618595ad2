"""Tables of well-known datasets whose records have a form of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.paths_of_tables import Paths, find_paths
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.tables.cells import Record
from walt.ingest.tables.fields import FILE, KEY, getter
from walt.ingest.tables.spans import seconds, span_of_cell

Found = tuple[dict[str, Any], int, list[str]]
"""Settings of ``FileList``, how many of the first rows have a file, and notes."""


def settings(survey: Survey, seen: Peek) -> Found | None:
    """How to read a table of a known form; None: it has none of them, or names no file that is here."""
    for recognise in (
        _msr_vtt,
        _activitynet,
        _database,
        _hd_vila,
        _sharegpt4video,
        _vript,
        _shot2story,
        _msvd,
        _something,
        _miradata,
        _webvid,
        _lists_of_parts,
    ):
        if found := recognise(survey, seen):
            return found
    return None


def _has(seen: Peek, *columns: str) -> bool:
    return all(column in seen.columns for column in columns)


def _whole(seen: Peek) -> dict[str, Any]:
    """The whole content of a JSON file; empty for other tables."""
    content = seen.records[0].get(FILE) if seen.records else None
    return content if isinstance(content, dict) else {}


def _with(paths: Paths | None, found: dict[str, Any], notes: list[str] | None = None) -> Found | None:
    if paths is None or not paths.hits:
        return None
    way = {name: getattr(paths, name) for name in ("suffixes", "videos", "prefix") if getattr(paths, name)}
    relative = {"relative_to": "table"} if paths.relative_to == "table" else {}
    return {"path_column": paths.column, **way, **relative, **found}, paths.hits, notes or []


def _msr_vtt(survey: Survey, seen: Peek) -> Found | None:
    """MSR-VTT: sentences and videos in one file, joined by ``video_id``."""
    if not {"videos", "sentences"} <= set(_whole(seen)) or not _has(seen, "video_id", "caption"):
        return None
    join = {"records": "videos", "key": "video_id"}
    found = {"records": "sentences", "join": join, "caption_columns": ("caption",), "split_column": "split"}
    notes = ["start time and end time are of the web video: not used"]
    return _with(find_paths(survey, seen, "video_id"), found, notes)


def _activitynet(survey: Survey, seen: Peek) -> Found | None:
    """ActivityNet Captions: a map of videos, each with lists of spans and sentences."""
    if not _has(seen, KEY, "timestamps", "sentences"):
        return None
    lists = ("timestamps", "sentences")
    found = {"explode": lists, "span_columns": ("timestamps",), "caption_columns": ("sentences",)}
    return _with(find_paths(survey, seen, KEY), found, ["spans from timestamps"])


def _database(survey: Survey, seen: Peek) -> Found | None:
    """YouCook2 and others in the form of ActivityNet's challenges: a map of videos, with segments and sentences."""
    inside = next((record["annotations"] for record in seen.records if record.get("annotations")), None)
    if seen.place != "database" or not isinstance(inside, list) or "segment" not in inside[0]:
        return None
    columns = tuple(f"annotations.{name}" for name in ("sentence", "caption", "text") if name in inside[0])
    if not columns:
        return None
    found: dict[str, Any] = {"records": "database", "explode": ("annotations",), "caption_columns": columns}
    found |= {"span_columns": ("annotations.segment",)} | ({"split_column": "subset"} if _has(seen, "subset") else {})
    return _with(find_paths(survey, seen, KEY), found, ["spans from annotations.segment"])


def _hd_vila(survey: Survey, seen: Peek) -> Found | None:
    """HD-VILA-100M: a video per line, with a list of clips; no captions."""
    clips = [clip for record in seen.records for clip in record.get("clip") or () if isinstance(clip, dict)]
    if not _has(seen, "video_id", "clip") or not clips or not all("span" in clip for clip in clips):
        return None
    single = Peek(seen.table, ("clip.clip_id",), [{"clip": clip} for clip in clips])
    found: dict[str, Any] = {"explode": ("clip",), "caption_columns": ()}
    if cut := _with(find_paths(survey, single, "clip.clip_id"), found, ["the clips are cut already"]):
        return cut
    found["span_columns"] = ("clip.span",)
    return _with(find_paths(survey, seen, "video_id"), found, ["spans from clip.span"])


def _sharegpt4video(survey: Survey, seen: Peek) -> Found | None:
    """ShareGPT4Video: the last of a list of captions is the whole video's."""
    first = next((record.get("captions") for record in seen.records), None)
    if not isinstance(first, list) or not first or not isinstance(first[-1], dict) or "content" not in first[-1]:
        return None
    columns = [name for name in ("video_path", "video_id") if name in seen.columns]
    ways = [way for name in columns if (way := find_paths(survey, seen, name))]
    notes = ["of each list of captions the last, which is the whole video's"]
    best = max(ways, key=lambda way: way.hits, default=None)
    return _with(best, {"caption_columns": ("captions.-1.content",)}, notes)


def _vript(survey: Survey, seen: Peek) -> Found | None:
    """Vript: a file per web video, with a map of its scenes."""
    if seen.place != "data" or not _has(seen, "clip_id", "caption.content"):
        return None
    for column in ("{$file.meta.video_id}/{clip_id}", "clip_id", KEY):
        if found := find_paths(survey, seen, column):
            others = [name for name in seen.columns if name.startswith("caption.") and name != "caption.content"]
            notes = [f"of the caption its content; not used: {', '.join(others)}"] if others else []
            return _with(found, {"records": "data", "caption_columns": ("caption.content",)}, notes)
    return None


def _shot2story(survey: Survey, seen: Peek) -> Found | None:
    """Shot2Story: a video with its caption, and lists of its shots with theirs."""
    if not _has(seen, "video", "whole_caption", "video_names", "captions"):
        return None
    shots: list[Record] = [{"video_names": name} for record in seen.records for name in record["video_names"]]
    single = Peek(seen.table, ("video_names",), shots)
    lists = ("video_names", "captions")
    found = {"explode": lists, "caption_columns": ("captions",), "group_column": "video"}
    if by_shot := _with(find_paths(survey, single, "video_names"), found, ["shots, each with its caption"]):
        return by_shot
    notes = ["whole videos; the captions of their shots are not used, since the shots are not here"]
    return _with(find_paths(survey, seen, "video"), {"caption_columns": ("whole_caption",)}, notes)


def _msvd(survey: Survey, seen: Peek) -> Found | None:
    """MSVD: files named by id, start and end; captions in many languages."""
    if not _has(seen, "VideoID", "Start", "End", "Language", "Description"):
        return None
    paths = find_paths(survey, seen, "{VideoID}_{Start}_{End}")
    found = {"caption_columns": ("Description",), "where": {"Language": ("English",)}}
    return _with(paths, found, ["captions in English; others with `where` in the descriptor"])


def _something(survey: Survey, seen: Peek) -> Found | None:
    """Something-Something: what the label says, with the objects filled in, is the caption."""
    if not _has(seen, "id", "label", "template"):
        return None
    return _with(find_paths(survey, seen, "id"), {"caption_columns": ("label",)}, ["classes (template) are not used"])


def _miradata(survey: Survey, seen: Peek) -> Found | None:
    """MiraData: six captions per clip; the timestamp is that of the web video."""
    if not _has(seen, "clip_id", "video_id", "timestamp", "file_path", "dense_caption"):
        return None
    captions = tuple(name for name in seen.columns if name.endswith("_caption"))
    ordered = tuple(sorted(captions, key=lambda name: (name != "dense_caption", name != "short_caption")))
    notes = ["timestamp is of the web video: not used"]
    return _with(find_paths(survey, seen, "file_path"), {"caption_columns": ordered, "group_column": "video_id"}, notes)


def _webvid(survey: Survey, seen: Peek) -> Found | None:
    """WebVid: the caption is the video's name; files are named by id, in the folders of its pages."""
    if not _has(seen, "videoid", "contentUrl", "page_dir", "name"):
        return None
    ways = [way for name in ("{page_dir}/{videoid}", "videoid") if (way := find_paths(survey, seen, name))]
    return _with(max(ways, key=lambda way: way.hits, default=None), {"caption_columns": ("name",)})


def _lists_of_parts(survey: Survey, seen: Peek) -> Found | None:
    """A record for each video, with lists of the captions of its parts and of their spans (``{"start": [...], "end":
    [...], "text": [...]}``, ``{"events": [[0, 2], ...], "captions": [...]}``)."""
    usual = filter(usual_names.is_caption, seen.columns)
    texts = next((name for name in usual if _has_lists(seen, name, _is_text)), None)
    if texts is None:
        return None
    spans = tuple(name for name in seen.columns if _has_lists(seen, name, span_of_cell, like=texts))[:1]
    for names in usual_names.SPANS if not spans else ():
        pair = tuple(same for name in names if (same := usual_names.same_name(name, seen.columns)))
        if len(pair) == 2 and all(_has_lists(seen, name, _is_moment, like=texts) for name in pair):
            spans = pair
    if not spans:
        return None
    found: dict[str, Any] = {"explode": (*spans, texts), "span_columns": spans, "caption_columns": (texts,)}
    if seen.place:
        found["records"] = seen.place
    return _with(find_paths(survey, seen), found, [f"spans from {' and '.join(spans)}"])


def _has_lists(seen: Peek, name: str, fits: Callable[[Any], Any], like: str | None = None) -> bool:
    """Whether a column holds lists of what fits, and not all are empty.

    Args:
        like: a column whose lists have as many elements.
    """
    find, as_long = getter(name), getter(like or name)
    values = [(find(record), as_long(record)) for record in seen.records]
    return any(value for value, _ in values) and all(
        isinstance(value, list) and isinstance(other, list) and len(value) == len(other) and all(map(fits, value))
        for value, other in values
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_moment(value: Any) -> bool:
    return seconds(value) is not None
