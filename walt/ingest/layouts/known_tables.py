"""Tables of well-known datasets whose records have a form of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.maps_of_texts import maps_of_texts
from walt.ingest.layouts.nested_parts import nested_parts
from walt.ingest.layouts.paths_of_tables import Paths, find_paths
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.spans_of_tables import beyond, spans_inside
from walt.ingest.layouts.survey import Survey
from walt.ingest.sources.items import Span
from walt.ingest.tables.cells import Record, literal_list
from walt.ingest.tables.fields import FILE, KEY, getter
from walt.ingest.tables.spans import seconds, span_of_cell, span_of_cells

_ABOUT_A_CAPTION = frozenset((
    "lang", "language", "locale", "model", "source", "style", "type", "id", "idx", "annotator", "worker_id", "score",
))  # fmt: skip
"""Fields beside the text of one of several captions of the whole video."""

Found = tuple[dict[str, Any], int, list[str]] | str
"""Settings of ``FileList``, how many of the first rows have a file, and notes; or why the table must not be read."""


def settings(survey: Survey, seen: Peek) -> Found | None:
    """How to read a table of a known form; None: it has none of them, or names no file that is here."""
    for recognise in (
        _msr_vtt,
        _coco,
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
        _maps_of_texts,
        _lists_of_parts,
        _records_of_parts,
        nested_parts,
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


def _with_parts(survey: Survey, seen: Peek, paths: Paths | None, found: dict[str, Any]) -> Found | None:
    """The settings of a table that lists the parts of each file, if the files are long enough to hold them."""
    spans: tuple[str, ...] = found["span_columns"]

    def of_record(record: Record) -> list[Span | None]:
        lists = {name: _list_at(record, name) for name in found["explode"]}
        rows = [dict(zip(lists, parts, strict=False)) for parts in zip(*lists.values(), strict=False)]
        return [span_of_cells([getter(name)(row) for name in spans]) for row in rows]

    shown = " and ".join(spans)
    if paths and (example := beyond(survey, paths, ((record, of_record(record)) for record in seen.records))):
        return f"{shown} are not seconds of these files: {example}"
    records = {} if seen.place is None else {"records": seen.place}
    return _with(paths, records | found, [f"spans from {shown}"])


def _msr_vtt(survey: Survey, seen: Peek) -> Found | None:
    """MSR-VTT: sentences and videos in one file, joined by ``video_id``."""
    if not {"videos", "sentences"} <= set(_whole(seen)) or not _has(seen, "video_id", "caption"):
        return None
    join = {"records": "videos", "key": "video_id"}
    found = {"records": "sentences", "join": join, "caption_columns": ("caption",), "split_column": "split"}
    notes = ["start time and end time are of the web video: not used"]
    return _with(find_paths(survey, seen, "video_id"), found, notes)


def _coco(survey: Survey, seen: Peek) -> Found | None:
    """COCO's form: annotations with captions, and the videos or images, joined by the id that these have."""
    content = _whole(seen)
    notes = content.get("annotations")
    if not isinstance(notes, list) or not any(isinstance(note, dict) and "caption" in note for note in notes):
        return None
    for name, by in (("videos", "video_id"), ("images", "image_id")):
        files = content.get(name)
        if not isinstance(files, list) or not all(isinstance(file, dict) and "id" in file for file in files):
            continue
        known = {file["id"]: file for file in files if isinstance(file["id"], int | str)}
        own = [note for note in notes[: len(seen.records)] if isinstance(note, dict) and note.get(by) in known]
        records: list[Record] = [{**known[note[by]], **note} for note in own]
        fields = tuple(dict.fromkeys(column for note in own for column in note))
        spans = spans_inside(own, fields)
        if "bbox" in fields or (not spans and any(map(usual_names.is_moment, fields))):
            continue  # of a region of the picture, or of a part that is not known
        single = Peek(seen.table, tuple(dict.fromkeys(column for record in records for column in record)), records)
        found: dict[str, Any] = {"records": "annotations", "join": {"records": name, "key": "id", "by": by}}
        found |= {"caption_columns": ("caption",)} | ({"span_columns": spans} if spans else {})
        if joined := _with(find_paths(survey, single), found, [f"captions from annotations, files from {name}"]):
            return joined
    return None


def _activitynet(survey: Survey, seen: Peek) -> Found | None:
    """ActivityNet Captions: a map of videos, each with lists of spans and sentences."""
    if not _has(seen, KEY, "timestamps", "sentences"):
        return None
    lists = ("timestamps", "sentences")
    found = {"explode": lists, "span_columns": ("timestamps",), "caption_columns": ("sentences",)}
    return _with_parts(survey, seen, find_paths(survey, seen, KEY), found)


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
    return _with_parts(survey, seen, find_paths(survey, seen, KEY), found)


def _hd_vila(survey: Survey, seen: Peek) -> Found | None:
    """HD-VILA-100M: a video per line, with a list of clips; captions are what others added to them."""
    clips = [clip for record in seen.records for clip in record.get("clip") or () if isinstance(clip, dict)]
    if not _has(seen, "video_id", "clip") or not clips or not all("span" in clip for clip in clips):
        return None
    single = Peek(seen.table, ("clip.clip_id",), [{"clip": clip} for clip in clips])
    fields = dict.fromkeys(field for clip in clips for field in clip if usual_names.is_caption(field))
    captions = tuple(f"clip.{field}" for field in fields if any(_is_text(clip.get(field)) for clip in clips))
    found: dict[str, Any] = {"explode": ("clip",), "caption_columns": captions}
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


def _maps_of_texts(survey: Survey, seen: Peek) -> Found | None:
    """A map from files to captions for each language."""
    found = maps_of_texts(survey, seen)
    return found if found is None or isinstance(found, str) else _with(found[1], found[0], found[2])


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
    return _with_parts(survey, seen, find_paths(survey, seen), found)


def _records_of_parts(survey: Survey, seen: Peek) -> Found | None:
    """A record for each video, with a list of records of its parts (``"events": [{"start": 0, "end": 3, "caption":
    ...}]``), or of its captions (``"captions": [{"lang": "en", "text": ...}]``)."""
    found = [way for name in seen.columns if (way := _of_records(seen, name))]
    if len(found) > 1:
        names = " and in ".join(way["caption_columns"][0] for way in found)
        return f"captions in {names}, of which one can be read: name it with --caption-column"
    if not found:
        return None
    [only] = found
    if "span_columns" in only:
        return _with_parts(survey, seen, find_paths(survey, seen), only)
    return _with(find_paths(survey, seen), only | ({"records": seen.place} if seen.place else {}))


def _of_records(seen: Peek, name: str) -> dict[str, Any] | None:
    """The settings that read a column of lists of records; None: it holds something else, or no captions."""
    lists = [value for record in seen.records if (value := _list_at(record, name)) is not None]
    if usual_names.is_of_form(name):
        return None
    if not lists or not all(isinstance(value, list) for value in lists):
        return None
    inside = [part for value in lists for part in value]
    if not inside or not all(isinstance(part, dict) for part in inside):
        return None
    fields = tuple(dict.fromkeys(field for part in inside for field in part))
    texts = tuple(f"{name}.{field}" for field in fields if usual_names.is_caption(field))
    if not texts or not all(_is_text(part.get(field.split(".")[-1])) for part in inside for field in texts):
        return None
    if spans := spans_inside(inside, fields):
        columns = tuple(f"{name}.{field}" for field in spans)
        return {"explode": (name,), "span_columns": columns, "caption_columns": texts}
    if {field for field in fields if f"{name}.{field}" not in texts} <= _ABOUT_A_CAPTION:
        return {"caption_columns": tuple(f"{name}.*.{field.split('.')[-1]}" for field in texts)}
    return None


def _has_lists(seen: Peek, name: str, fits: Callable[[Any], Any], like: str | None = None) -> bool:
    """Whether a column holds lists of what fits, and not all are empty.

    Args:
        like: a column whose lists have as many elements.
    """
    values = [(_list_at(record, name), _list_at(record, like or name)) for record in seen.records]
    return any(value for value, _ in values) and all(
        isinstance(value, list) and isinstance(other, list) and len(value) == len(other) and all(map(fits, value))
        for value, other in values
    )


def _list_at(record: Record, name: str) -> Any:
    """What a record holds at a name; of a text that spells a list, as tables without types have it, that list."""
    value = getter(name)(record)
    found = literal_list(value) if isinstance(value, str) and value.startswith("[") else value
    return list(found) if isinstance(found, tuple) else found


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_moment(value: Any) -> bool:
    return seconds(value) is not None
