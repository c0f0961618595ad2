"""Recognises tables that name files of the folder, and writes the ``list`` that reads them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from walt.core.errors import ConfigurationError
from walt.ingest.layouts import known_tables, usual_names
from walt.ingest.layouts.chats import answer_of_service, chat_of, path_of
from walt.ingest.layouts.nested_parts import nested_parts
from walt.ingest.layouts.paths_of_tables import Paths, find_paths, not_in_one_folder
from walt.ingest.layouts.peek import Peek, peek, records
from walt.ingest.layouts.spans_of_tables import find_spans
from walt.ingest.layouts.special import FPS
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.templates import recording_of, value_of
from walt.ingest.layouts.versioned_tables import parts_of_versions
from walt.ingest.sources.file_list import split_of
from walt.ingest.sources.kinds import FileList
from walt.ingest.tables.cells import BadValue, Record, convert, short
from walt.ingest.tables.fields import EVERY, KEY, TABLE, VALUE, getter, holes
from walt.ingest.tables.text_table import START
from walt.media.kinds import is_media

MOST_TABLES = 256
"""Tables that are looked at."""
_MOST_NAMED = 16
_NAMES_A_TEXT = re.compile(r"(?:[^\s.]\S*)?\w\.(?:txt|caption|json|srt|vtt)", re.IGNORECASE)
_MOST_TEXTS = 64
"""Texts of which no file has the name that are looked at."""


@dataclass(frozen=True)
class TableColumns:
    """What a user says of a table's columns; what is not said is found by the usual names."""

    path: str | None = None
    captions: tuple[str, ...] = ()
    label: str | None = None
    span: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None
    numbers: tuple[str, ...] = ()

    @property
    def said(self) -> bool:
        """Whether the user said anything."""
        return self != TableColumns()


@dataclass
class Recognised:
    """A table, or several of the same form, and how to read them."""

    tables: list[str]
    settings: dict[str, Any]
    """Of ``FileList``, without the tables."""
    hits: int
    has_captions: bool
    notes: list[str] = field(default_factory=list)

    def source(self, unlisted: str, captions: bool) -> FileList:
        """The section of the descriptor.

        Args:
            unlisted: see ``FileList.unlisted``.
            captions: whether captions are wanted.
        """
        settings = {**self.settings, "unlisted": unlisted}
        if not captions:
            settings["caption_columns"] = ()
        elif len(self.tables) > 1 and self._split_by_table() and not settings.get("split_column"):
            settings["split_column"] = TABLE
        return FileList(kind="list", tables=_names(self.tables), absent="refuse", **settings)

    def _split_by_table(self) -> bool:
        """Whether the tables' own names say which split each is of."""
        return {split_of(table) for table in self.tables} == {"train", "held_out"}


def recognise_tables(
    survey: Survey, tables: Iterable[str], columns: TableColumns
) -> tuple[list[Recognised], dict[str, str]]:
    """The tables that name files which are here, those of the same form together; and of the others why not.

    Raises:
        ConfigurationError: a column that the user named is in none of the tables.
    """
    versions = parts_of_versions(survey)
    looked, why, tables = [], dict[str, str](), sorted(tables)
    for number, table in enumerate(tables):
        if number >= MOST_TABLES:
            why[table] = f"only the first {MOST_TABLES} tables are looked at"
            continue
        if table in versions:
            why[table] = versions[table]
            continue
        seen = peek(survey.folder, table)
        if seen.problem:
            why[table] = seen.problem
        else:
            looked.append(_about_these_files(survey, seen))
    forms: dict[str, list[tuple[Peek, dict[str, Any], int, list[str]]]] = defaultdict(list)
    for seen in looked:
        found = _settings(survey, seen, columns)
        if isinstance(found, str):
            why[seen.table] = found
        else:
            settings, hits, notes = found
            if "/" not in seen.table and "videos" not in settings and any("/" in table for table in tables):
                settings["relative_to"] = "table"  # of a table at the top that is the folder itself
            same = {name: value for name, value in settings.items() if name != "number_columns"}
            forms[repr(sorted(same.items()))].append((seen, settings, hits, notes))
    if columns.said and looked and not forms:
        raise ConfigurationError("; ".join(f"{table}: {cause}" for table, cause in sorted(why.items())))
    recognised = []
    for form in forms.values():
        names, hits = [seen.table for seen, *_ in form], sum(hits for _, _, hits, _ in form)
        notes = list(dict.fromkeys(note for *_, notes in form for note in notes))
        numbers = tuple(dict.fromkeys(name for _, found, *_ in form for name in found.get("number_columns", ())))
        settings = form[0][1] | ({"number_columns": numbers} if numbers else {})
        recognised.append(Recognised(names, settings, hits, bool(settings["caption_columns"]), notes))
    return recognised, why


def _about_these_files(survey: Survey, seen: Peek) -> Peek:
    """A table of which the first records name no file that is here: with those that do, if there are any, since only a
    part of a large dataset may be here."""
    names = [name for name in usual_names.PATHS if name in seen.columns]
    if not survey.media or not names or seen.table.lower().endswith(".txt") or find_paths(survey, seen) is not None:
        return seen
    getters = [getter(name) for name in names]
    paths = [PurePosixPath(name) for name in survey.media]
    known = {path.stem for path in paths} | {path.name for path in paths}

    def here(record: Record) -> bool:
        values = (find(record) for find in getters)
        return any(isinstance(value, str) and value.rpartition("/")[2] in known for value in values)

    found = list(islice(filter(here, records(survey.folder, seen)), len(seen.records)))
    return replace(seen, records=found) if found else seen


def texts_with_names(survey: Survey, names: Iterable[str]) -> list[str]:
    """Those of the folder's texts whose lines begin with names of its files (``walt.ingest.tables.text_table``)."""
    found = []
    for name in islice((name for name in names if name.lower().endswith(".txt")), _MOST_TEXTS):
        seen = peek(survey.folder, name)
        paths = find_paths(survey, seen) if seen.records else None
        if paths is None or (paths.hits * 10 < len(seen.records) * 9 and START not in seen.columns):
            continue
        whole = all(is_media(value) for value in paths.found)  # else the first words of a text may be names by chance
        of_parts = START in seen.columns  # with two moments, no text has that form by chance
        if whole or of_parts or len(set(paths.found.values())) > 1:
            found.append(name)
    return found


def caption_columns(seen: Peek) -> tuple[str, ...]:
    """The columns of captions by their usual names, the surest first; they hold texts in the first records."""
    usual = [name for name in usual_names.CAPTIONS if name in seen.columns]
    usual += [name for name in seen.columns if usual_names.is_caption(name) and name not in usual]
    found = [name for name in usual if _holds_texts(seen, name)]
    if not found and VALUE in seen.columns and _holds_texts(seen, VALUE):
        return (VALUE,)
    return tuple(found)


def _holds_texts(seen: Peek, name: str) -> bool:
    find = getter(name)
    cells = [convert(find(record), "texts") for record in seen.records]
    if not any(cells) or any(isinstance(cell, BadValue) for cell in cells):
        return False
    texts = [text.strip() for cell in cells for text in cell or () if text]
    if all(_NAMES_A_TEXT.fullmatch(text) or (is_media(text) and len(text.split()) == 1) for text in texts):
        return False  # where the captions are, in texts of their own, or other files
    return usual_names.may_be_caption(name, (text for cell in cells for text in cell or ()))


def _settings(survey: Survey, seen: Peek, columns: TableColumns) -> tuple[dict[str, Any], int, list[str]] | str:
    """Settings of ``FileList`` that read a table, how many of its first rows have a file, and notes; or why not."""
    if first := names_a_file(survey, seen):
        return f"its first line is not a header: it names {short(first)}; write one, such as path,caption"
    missing = [name for name in (*columns.captions, columns.label, *columns.span, columns.split) if name]
    unknown = next((name for name in missing if name not in seen.columns and "." not in name and name != TABLE), None)
    if unknown:
        return f"no column '{unknown}' (columns: {', '.join(seen.columns)})"
    said, chat = columns.said, None if columns.said else chat_of(seen)
    if isinstance(chat, str):
        return chat
    if chat is not None:
        columns = TableColumns(chat.path, (chat.caption,), span=chat.span)
    if not said and (answer := answer_of_service(seen)) and find_paths(survey, seen):
        return f"answers of a service, which may be captions: --caption-column {answer}"
    if not columns.said and (special := known_tables.settings(survey, seen)):
        return special
    alone = columns == TableColumns(captions=columns.captions) and any("." in name for name in columns.captions)
    if alone and (inside := nested_parts(survey, seen, columns.captions)):
        return inside
    if not columns.said and seen.unread:
        return f"records at '{seen.place}' and at {', '.join(map(repr, seen.unread))}, of which only one can be read"
    paths = _paths(survey, seen, columns)
    if paths is None or (chat and not paths.hits):
        return _no_file(survey, seen, columns)
    captions = tuple(name for name in columns.captions or caption_columns(seen) if name != paths.column)
    if captions and (cause := not_in_one_folder(survey, paths, seen)):
        return cause
    settings: dict[str, Any] = {"path_column": paths.column, "caption_columns": captions}
    if seen.place:
        settings["records"] = seen.place
    settings |= {name: getattr(paths, name) for name in ("suffixes", "videos", "prefix") if getattr(paths, name)}
    if paths.relative_to == "table":
        settings["relative_to"] = "table"
    begins = [paths.prefix] if isinstance(paths.prefix, str) else [*paths.prefix]
    notes = [f"of paths the beginning {' or '.join(begins)} is left out"] if paths.prefix else []
    if any(name in survey.of_frames for name in paths.found.values()):
        settings["fps"] = FPS
        notes.append(f"rows name folders of numbered pictures; {FPS:g} per second is a guess (source.fps)")
    notes += [f"captions are the answers of chats, {chat.caption}"] if chat else []
    spans = find_spans(survey, seen, columns.span, paths, captions)
    if spans.problem and captions and not said:
        return spans.problem
    settings |= {"span_columns": spans.columns} if spans.columns else {}
    notes += spans.notes
    taken = {*holes(paths.column), *settings["caption_columns"], *settings.get("span_columns", ())}
    split = columns.split or _first(seen, usual_names.SPLITS, taken, lambda value: split_of(str(value)) is not None)
    if split is None and seen.place == EVERY and all(split_of(record[KEY]) for record in seen.records):
        split = KEY
    group = columns.group or _first(seen, usual_names.GROUPS, taken, lambda value: isinstance(value, str))
    group = group or _recording(survey, seen, paths.column)
    numbers = columns.numbers or tuple(name for name in seen.columns if name not in taken and _is_number(seen, name))
    chosen = {"split_column": split, "group_column": group, "number_columns": numbers, "label_column": columns.label}
    settings |= {name: value for name, value in chosen.items() if value}
    return settings, paths.hits, notes


def _paths(survey: Survey, seen: Peek, columns: TableColumns) -> Paths | None:
    """How a table names files: in a column of its own, or inside of the messages of its chats."""
    paths = find_paths(survey, seen, columns.path, chosen=columns.path is not None)
    inside = None if paths or columns.path else path_of(seen)
    found = find_paths(survey, seen, inside) if isinstance(inside, str) else None
    return found if found and found.hits else paths


def _recording(survey: Survey, seen: Peek, template: str) -> str | None:
    """The column of the recordings that the files are parts of, if there are several; else none could be held out."""
    column = recording_of(template)
    if column is None:
        return None
    found = (value for record in records(survey.folder, seen) if (value := value_of(record, column)))
    first = next(found, "")
    return column if any(value != first for value in found) else None


def names_a_file(survey: Survey, seen: Peek) -> str | None:
    """A file of the folder, or the id in the name of one, that stands in the header of a CSV; None: there is none."""
    if seen.table.lower().endswith((".json", ".jsonl", ".ndjson", ".parquet")):
        return None
    beside = seen.table.rpartition("/")[0]
    for name in seen.columns:
        for path in (name, *name.split(maxsplit=1)[:1]):
            if survey.holds(path) or (beside and survey.holds(f"{beside}/{path}")) or _is_an_id(survey, path):
                return path
    return None


def _is_an_id(survey: Survey, name: str) -> bool:
    """Whether a name of a column is the beginning of a file's, and no word: ``x1y2`` of ``x1y2_000001.mp4``."""
    found = islice(survey.beginning_with(name), _MOST_NAMED) if re.search(r"\d", name) and len(name) > 1 else ()
    return any(re.fullmatch(r"(?:[_-].*)?\.\w+", path.rpartition("/")[2].removeprefix(name)) for path in found)


def _no_file(survey: Survey, seen: Peek, columns: TableColumns) -> str:
    """Why a table names no file of the folder."""
    names = [columns.path] if columns.path else [name for name in usual_names.PATHS if name in seen.columns]
    if not names:
        return f"no column names files (columns: {', '.join(seen.columns[:12])})"
    values = [value for record in seen.records[:1] if (value := getter(names[0])(record))]
    example = f", such as {str(values[0])[:60]!r}" if values else ""
    longer = next((path for path in survey.media if values and _begins_with(path, str(values[0]))), None)
    hint = (
        "; {} begins with it: --path-column '{{{}}}_{{...}}.mp4' puts several columns together, {{...:06}} with zeros"
    )
    example += hint.format(longer.rpartition("/")[2], names[0]) if longer else ""
    return f"the files that its column '{names[0]}' names are not here{example}"


def _begins_with(path: str, value: str) -> bool:
    """Whether a file's name is a value and something more."""
    rest = path.rpartition("/")[2].removeprefix(value)
    return bool(value) and len(rest) < len(path.rpartition("/")[2]) and rest[:1] in ("_", "-", ".")


def _first(seen: Peek, names: Sequence[str], taken: set[str], fits: Any) -> str | None:
    for usual in names:
        name = usual_names.same_name(usual, seen.columns)
        if name is not None and name not in taken:
            find = getter(name)
            values = [value for record in seen.records if (value := find(record))]
            if values and all(fits(value) for value in values):
                return name
    return None


def _is_number(seen: Peek, name: str) -> bool:
    numbering = not name or name.startswith(("$", "Unnamed: "))  # pandas writes the row's number without a name
    if numbering or not usual_names.says_more_than_the_file(name):
        return False
    find = getter(name)
    values = [find(record) for record in seen.records]
    if not seen.table.lower().endswith((".csv", ".tsv")) and any(isinstance(value, str) for value in values):
        return False  # digits in a text, such as those of a hash
    cells = [convert(value, "number") for value in values]
    return any(isinstance(cell, float) for cell in cells) and not any(isinstance(cell, BadValue) for cell in cells)


def _names(tables: list[str]) -> tuple[str, ...]:
    """The tables by name, or by a glob where they are many."""
    if len(tables) <= _MOST_NAMED:
        return tuple(tables)
    suffixes = {PurePosixPath(table).suffix for table in tables}
    ends = {table.rpartition("/")[2].rpartition("_")[2] for table in tables}
    return (f"**/*_{ends.pop()}",) if len(ends) == 1 else tuple(f"**/*{suffix}" for suffix in sorted(suffixes))
