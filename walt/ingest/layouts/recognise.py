"""Chooses how a folder is read: by a table, by line files, or by captions beside the files; and says what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from walt.core.errors import ConfigurationError
from walt.ingest.layouts import usual_names
from walt.ingest.layouts.choice import Choice, Source, Wish
from walt.ingest.layouts.found import Found
from walt.ingest.layouts.left_over import left, nothing
from walt.ingest.layouts.line_pairs import chosen_pair, recognise_lines, without_first_frames
from walt.ingest.layouts.peek import peek
from walt.ingest.layouts.prose_columns import prose_columns
from walt.ingest.layouts.repeated_tables import said_twice
from walt.ingest.layouts.same_captions import one_way
from walt.ingest.layouts.sidecars import Sidecars, recognise_sidecars
from walt.ingest.layouts.special import recognise_special
from walt.ingest.layouts.survey import FOREIGN_TABLES, Survey
from walt.ingest.layouts.tables import Recognised, TableColumns, recognise_tables, texts_with_names
from walt.ingest.layouts.tars import patterns_of, recognise_tars
from walt.ingest.layouts.texts_inside_files import texts_inside_files
from walt.ingest.layouts.unused import Unused, named, reads_as_captions
from walt.ingest.sources.file_list import shape_of, split_of
from walt.ingest.sources.frame_folders import why_no_frames
from walt.ingest.sources.kinds import FileList, FrameFolders, PlainFolder
from walt.ingest.tables.cells import Columns
from walt.ingest.tables.fields import TABLE
from walt.ingest.tables.read import find_tables, read_rows

_MOST_SHOWN = 12


def recognise(survey: Survey, wish: Wish) -> Choice:
    """Choose the source of a folder.

    Raises:
        ConfigurationError: there is nothing to read, or two tables say different things of the files, or the table or
            a column that the user named does not fit.
    """
    if wish.columns.captions and wish.captions is None and wish.columns == TableColumns(captions=wish.columns.captions):
        sidecars = recognise_sidecars(survey, wish.columns.captions)
        if any(file.fields for file in sidecars.files):
            return _beside(survey, replace(sidecars, files=[file for file in sidecars.files if file.fields]))
    if not wish.columns.said and (pair := chosen_pair(survey, wish.captions)):
        return left(survey, Choice(pair.source(), True, notes=pair.notes), pair.texts, {})
    if wish.captions is not None or wish.columns.said:
        return _by_tables(survey, [wish.captions] if wish.captions else survey.tables, wish)
    special = recognise_special(survey.folder) if wish.whole_folder and not wish.labels_from_folders else None
    if special is not None and not _named_by_table(survey, special.source, wish):
        return _special(survey, special, wish)
    if not wish.use_captions and not (survey.tars and not survey.media):
        if not survey.media:
            raise ConfigurationError(f"{survey.folder.location('')}: contains no videos or images")
        return left(survey, _without_captions(survey, wish.labels_from_folders), set(), {})
    if survey.tars and not survey.media:
        return _of_tars(survey, wish)
    sidecars = recognise_sidecars(survey)
    own = {*sidecars.beside, *sidecars.others, *sidecars.reports, *sidecars.unread}
    names = [name for name in survey.tables if name not in own]
    pairs = recognise_lines(survey)
    known = {*sidecars.beside, *(name for pair in pairs for name in (pair.paths, *pair.captions))}
    names += texts_with_names(survey, (name for name in survey.texts if name not in known))
    tables, why = recognise_tables(survey, names, wish.columns)
    captioned = [found for found in tables if found.has_captions]
    pairs = without_first_frames(survey, pairs)
    ways = [(_of_table(survey, found, wish), set(found.tables)) for found in captioned]
    ways += [(Choice(pair.source(), True, notes=pair.notes), pair.texts) for pair in pairs]
    if ways:
        choice, used = one_way(survey, ways)
        if sidecars.files:
            choice.beside = sidecars
            used |= sidecars.used
        used |= _say_others(survey, choice, [found for found in tables if not found.has_captions])
        return left(survey, choice, used, why, sidecars)
    if sidecars.files:
        return _beside(survey, sidecars, why, tables)
    uncaptioned = [found for found in tables if "span_columns" in found.settings or not survey.media]  # spans, URLs
    if len(uncaptioned) == 1:
        choice = _table(uncaptioned[0], wish, survey)
        if prose := _prose(survey, uncaptioned[0]):
            choice.unused.append(prose)
        return left(survey, choice, set(uncaptioned[0].tables), why, sidecars)
    if not survey.media:
        raise ConfigurationError(nothing(survey, why))
    choice, noted = _without_captions(survey, wish.labels_from_folders), set[str]()
    for found in tables:
        if prose := _prose(survey, found):
            choice.unused.append(prose)
            noted |= set(found.tables)
    others = {name: f"no column of captions{_labels_of(survey, name)}" for found in tables for name in found.tables}
    return left(survey, choice, noted, why | others, sidecars)


def _special(survey: Survey, special: Found, wish: Wish) -> Choice:
    """A dataset of a special kind, and what is beside it."""
    unread = [*survey.texts, *(name for name in survey.tables if not name.endswith(".parquet"))]
    unread = [] if special.captioned else unread
    unused = [Unused(unread, "not read with these", wish.use_captions)] if unread else []
    if special.unread:
        unused.append(Unused([*special.unread], "columns without texts, or tables without files", wish.use_captions))
    return Choice(special.source, special.captioned and wish.use_captions, notes=[*special.notes], unused=unused)


def _beside(
    survey: Survey, sidecars: Sidecars, why: dict[str, str] | None = None, tables: Sequence[Recognised] = ()
) -> Choice:
    """Captions in files of their own.

    Args:
        why: other tables cannot be read; None: the user named the fields.
        tables: those without captions.
    """
    source = _folder(survey).model_copy(update={"captions": tuple(sidecars.files), "exclude": sidecars.excluded})
    notes = [f"files that belong to others are not inputs: {', '.join(source.exclude)}"] if source.exclude else []
    choice = Choice(source, True, notes=[*sidecars.notes, *notes])
    used = sidecars.used | _say_others(survey, choice, [*tables])
    return left(survey, choice, used, why or {}, None if why is None else sidecars)


def _named_by_table(survey: Survey, source: Source, wish: Wish) -> bool:
    """Whether what a folder is recognised as is folders of frames that a table names, with their captions."""
    if not wish.use_captions or not isinstance(source, FrameFolders):
        return False
    return any(found.has_captions for found in recognise_tables(survey, survey.tables, wish.columns)[0])


def _of_tars(survey: Survey, wish: Wish) -> Choice:
    """The tars of a folder that holds no media itself."""
    found = recognise_tars(survey.folder, survey.tars, patterns_of(survey.tars))
    indexes = {f"{tar.removesuffix('.tar')}.json" for tar in survey.tars}
    captioned = found.captioned and wish.use_captions
    why = {name: "beside tars; their members are read" for name in survey.tables if name not in indexes}
    choice = Choice(found.source, captioned, notes=found.notes)
    for table, cause in sorted(why.items()):
        choice.unused.append(Unused([table], cause, wish.use_captions and not captioned))
    choice.unused += found.unused if wish.use_captions else []
    if survey.texts:
        choice.unused.append(Unused(survey.texts, "beside tars", wish.use_captions and not captioned))
    return choice


def _prose(survey: Survey, found: Recognised) -> Unused | None:
    """Columns of a table without captions by their names that hold texts; None: there are none."""
    columns = prose_columns(survey, found)
    names = [f"column '{name}' of {found.tables[0]}" for name in columns]
    parts = ", of parts too: all of them become captions of the whole" if any(".*." in name for name in columns) else ""
    return Unused(names, f"texts that may be captions (--caption-column{parts})", True) if names else None


def _say_others(survey: Survey, choice: Choice, tables: list[Recognised]) -> set[str]:
    """Say of tables without captions, beside those that are read, that they are not. Returns the tables' names."""
    for found in tables:
        said = (Unused([name], f"no column of captions{_labels_of(survey, name)}") for name in found.tables)
        prose = _prose(survey, found)
        choice.unused += [prose] if prose else said
    return {name for found in tables for name in found.tables}


def _labels_of(survey: Survey, table: str) -> str:
    names = [name for name in usual_names.LABELS if name in peek(survey.folder, table).columns]
    return f"; --label-column {names[0]} reads its labels" if names else ""


def _by_tables(survey: Survey, names: Iterable[str], wish: Wish) -> Choice:
    survey.chosen = wish.captions is not None
    if wish.captions is not None and wish.captions.lower().endswith(FOREIGN_TABLES):
        raise ConfigurationError(f"{wish.captions}: not of a kind that is read; write CSV, JSON lines or Parquet")
    tables, why = recognise_tables(survey, names, wish.columns)
    if not tables:
        causes = [f"{name}: {cause}" for name, cause in sorted(why.items())]
        raise ConfigurationError("; ".join(causes) or f"{survey.folder.location('')}: contains no table")
    if len(tables) > 1:
        said = " and ".join(found.tables[0] for found in tables)
        raise ConfigurationError(f"{said} have these columns, but not in the same way: give one with --captions TABLE")
    choice = _of_table(survey, tables[0], wish)
    otherwise = wish.columns.label or wish.columns.span
    seen = peek(survey.folder, tables[0].tables[0])
    if not tables[0].has_captions and seen.records and wish.captions and wish.use_captions and not otherwise:
        columns = ", ".join(seen.columns[:_MOST_SHOWN])
        said = f"{tables[0].tables[0]}: no column of captions was found (columns: {columns})"
        raise ConfigurationError(f"{said}: name one with --caption-column, or what else it holds, as --label-column")
    return left(survey, choice, set(tables[0].tables), why)


def _of_table(survey: Survey, found: Recognised, wish: Wish) -> Choice:
    """A table with captions. Raises ConfigurationError: two tables of its form say different things."""
    if twice := said_twice(survey, found):
        raise ConfigurationError(twice)
    choice = _table(found, wish, survey)
    if choice.captioned and not wish.columns.captions and (prose := _prose(survey, found)):
        said = "texts beside the captions (--caption-column takes them too)"
        choice.unused.append(Unused(prose.names, said))
    return choice


def _table(found: Recognised, wish: Wish, survey: Survey) -> Choice:
    captioned = found.has_captions and wish.use_captions
    all_taken = captioned and survey.media and "fps" not in found.settings  # frames that no row names are not stills
    source = found.source("take" if all_taken else "ignore", captioned)
    notes = list(found.notes)
    classes = _classes(survey, source)
    if classes:
        notes.append(f"{len(classes)} classes from {source.label_column}")
    if source.number_columns:
        notes.append(f"numbers for filters: {', '.join(source.number_columns)}")
    if source.group_column:
        notes.append(f"groups from {source.group_column}")
    if source.split_column:
        by_name = source.split_column == TABLE
        notes.append(f"splits from {'the names of the tables' if by_name else source.split_column}")
    return Choice(source, captioned, classes, notes)


def _classes(survey: Survey, source: FileList) -> tuple[str, ...] | None:
    """The names in a list's column of labels, sorted; None: it has no such column."""
    if source.label_column is None:
        return None
    column: Columns = {source.label_column: "texts"}
    names: set[str] = set()
    for table in find_tables(survey.folder, source.tables):
        for row in read_rows(survey.folder, table, column, shape=shape_of(source)):
            names.update(name for cell in row.values if isinstance(cell, tuple) for name in cell[:1] if name)
    return tuple(sorted(names))


def _folder(survey: Survey) -> PlainFolder:
    """The folder's files, with the split where the first folders of all of them say it."""
    tops = {split_of(name.partition("/")[0]) if "/" in name else None for name in survey.media}
    if tops == {"train", "held_out"}:
        return PlainFolder(kind="folder", patterns=("**/*",), folders=("split",))
    return PlainFolder(kind="folder", patterns=("**/*",))


def _without_captions(survey: Survey, labels: bool) -> Choice:
    """The folder's files without captions; with classes where their folders name them.

    Args:
        labels: whether the folders are classes even if no folder above them names a split.
    """
    source = _folder(survey)
    depth = len(source.folders)
    parts = [name.split("/") for name in survey.media]
    names = sorted({part[depth] for part in parts if len(part) > depth + 1})
    whole = all(len(part) > depth + 1 for part in parts)
    if len(names) > 1 and whole and (depth or labels):
        source = source.model_copy(update={"folders": (*source.folders, "label")})
        return Choice(source, False, tuple(names), [f"{len(names)} classes from the folders: {named(names)}"])
    if labels:
        raise ConfigurationError(f"{survey.folder.location('')}: its files are not in folders of two classes or more")
    notes = [f"the folders {named(names)} may be classes: --labels-from-folders"] if len(names) > 1 and whole else []
    notes += [*reads_as_captions(survey.media), *texts_inside_files(survey)]
    broken = [(folder, why) for folder, names in survey.by_folder.items() if (why := why_no_frames(names))]
    if broken:
        said = f"numbered pictures, taken as stills, not as a video: {broken[0][1]}"
        notes.append(f"{named([folder or 'the folder itself' for folder, _ in broken])}: {said}")
    return Choice(source, False, notes=notes)
