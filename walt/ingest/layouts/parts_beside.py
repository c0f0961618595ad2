"""Recognises tables of their own for single videos, which list the parts of each: beside ``a.mp4`` an ``a.json`` or
``a.csv`` with starts, ends and captions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from walt.ingest.layouts.caption_fields import are_spoken_parts
from walt.ingest.layouts.paths_of_tables import Paths, find_paths
from walt.ingest.layouts.peek import Peek, columns_of, peek
from walt.ingest.layouts.spans_of_tables import beyond, find_spans, span_columns, why_no_spans
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.tables import caption_columns
from walt.ingest.sources.caption_places import CaptionFile
from walt.ingest.tables.cells import Record
from walt.ingest.tables.fields import getter
from walt.ingest.tables.spans import span_of_cells

_LOOKED_AT = 32
_MEDIA = "$media"
"""The video that a record is about."""


def recognise_parts(
    survey: Survey, template: str, names: Mapping[str, str], wanted: tuple[str, ...] = ()
) -> CaptionFile | str | None:
    """The section that reads tables of parts; a text: they list parts, and why these cannot be read; None: they list
    none.

    Args:
        template: by which a video's name gives that of its table.
        names: the tables, each with its video.
        wanted: the columns of captions that the user named; empty: those with the usual names.
    """
    looked = [(peek(survey.folder, name), media) for name, media in islice(names.items(), _LOOKED_AT)]
    looked = [(seen, media) for seen, media in looked if seen.records and seen.problem is None]
    if not looked or any(_names_others(survey, seen, media) for seen, media in looked):
        return None
    place = looked[0][0].place
    looked = [(seen, media) for seen, media in looked if seen.place == place]
    columns = tuple(dict.fromkeys(name for seen, _ in looked for name in seen.columns))
    records: list[Record] = [{**record, _MEDIA: media} for seen, media in looked for record in seen.records]
    seen = Peek(template, columns, records, place)
    captions = tuple(name for name in wanted if any(getter(name)(record) for record in records))
    if not captions and (wanted or are_spoken_parts(records)):
        return None
    captions = captions or caption_columns(seen)
    if not captions:
        return None
    paths = Paths(_MEDIA, hits=len(records), found={media: media for _, media in looked})
    spans = span_columns(seen, captions)
    if not spans:
        return why_no_spans(seen, paths, captions)
    ends = [[getter(name)(record) for name in spans] for record in records]
    found = [*map(span_of_cells, ends)]
    shown = " and ".join(spans)
    if example := beyond(survey, paths, ((record, [span]) for record, span in zip(records, found, strict=True))):
        return f"{shown} are not seconds of these files: {example}"
    return part_file(template, captions, spans, place)


def part_file(template: str, fields: tuple[str, ...], spans: tuple[str, ...], records: str | None) -> CaptionFile:
    """The section that reads tables of parts."""
    section = {"file": template, "fields": fields, "spans": spans, "records": records}
    return CaptionFile.model_validate(section, strict=False)


def spans_of_records(
    survey: Survey, records: Iterable[tuple[Record, str]], captions: tuple[str, ...]
) -> tuple[str, ...]:
    """The fields with the span of a part, where records about single files say that their captions are of one, and the
    files are longer; else they are the parts already.

    Args:
        records: each with its file.
        captions: the fields with the captions.
    """
    found = [(record, media) for record, media in records if record]
    made: list[Record] = [{**record, _MEDIA: media} for record, media in found]
    paths = Paths(_MEDIA, hits=len(made), found={media: media for _, media in found})
    columns = tuple(name for name in columns_of(made) if not name.startswith("$"))
    return find_spans(survey, Peek("", columns, made), (), paths, captions).columns


def lists_parts(survey: Survey, name: str) -> bool:
    """Whether a table lists parts with captions, of a video that it does not name."""
    seen = peek(survey.folder, name)
    return seen.problem is None and bool((captions := caption_columns(seen)) and span_columns(seen, captions))


def _names_others(survey: Survey, seen: Peek, media: str) -> bool:
    """Whether a table names other files than the one whose name it has."""
    paths = find_paths(survey, seen)
    return paths is not None and set(paths.found.values()) - {media} != set()
