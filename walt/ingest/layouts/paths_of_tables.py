"""Finds which column of a table names files of the folder, and how: from where, with which suffix."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.templates import has_folders, templates, value_of
from walt.ingest.sources.items import leaves_folder, spellings
from walt.ingest.sources.rows import is_fetched
from walt.ingest.tables.fields import getter
from walt.media.kinds import kind_of

_MOST_FOLDERS, _MOST_PLACES, _MOST_SUFFIXES = 8, 256, 8
_MOST_PREFIXES = 8
_Look = Callable[[str | None], str | None]
"""The name of a file in the folder, given how it may be called."""
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/|[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True)
class Paths:
    """How a table names files, as ``walt.ingest.sources.kinds.FileList`` has it."""

    column: str
    suffixes: tuple[str, ...] = ()
    videos: str = ""
    relative_to: str = "folder"
    prefix: str | Mapping[str, str] = ""
    hits: int = 0
    """Of the first records, those whose file is here, or that name a URL."""
    found: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What the records say -> the file that was found in the folder."""
    clash: str = field(default="", compare=False)
    """Names with different beginnings that lead to the same file."""


def find_paths(survey: Survey, peek: Peek, column: str | None = None, *, chosen: bool = False) -> Paths | None:
    """The column and the way in which most of the first records name files; None: none names a file that is here.

    Args:
        column: the only one, which may be a template and is taken even if none of its files is here; None: any column.
        chosen: whether the user named it: then it is joined to others only if it names no file.
    """
    columns = [column] if column else list(_candidates(peek))
    best: Paths | None = None
    for look in (survey.look, survey.look_alike):
        tried = [paths for name in columns for paths in _ways(survey, peek, name, look)]
        best = max(tried, key=lambda paths: paths.hits, default=None)
        if best and best.hits:
            break
    if not survey.listed and (joined := _joined(survey, peek, columns, best, chosen)):
        return joined
    if (
        best
        and not best.hits
        and (survey.listed or survey.chosen)
        and any(name in peek.columns for name in usual_names.PATHS)
    ):
        return best  # a list is read as it is: its rows without a file are refused, each by its name
    return best if best and (best.hits or column) else None


def _joined(survey: Survey, peek: Peek, columns: list[str], best: Paths | None, chosen: bool) -> Paths | None:
    """The way in which several columns together name more files than one does, or surer; None: there is none.

    Args:
        best: what one column names.
    """
    of_all = sum(any(value_of(record, name) for name in columns) for record in peek.records)
    hits = best.hits if best else 0
    sure = best is not None and hits == of_all and not not_in_one_folder(survey, best, peek)
    if (chosen and hits) or (sure and best is not None and not best.videos):
        return None
    tried = [
        paths
        for template in templates(survey, peek, columns)
        for paths in _ways(survey, peek, template, survey.look)
        if not paths.prefix
    ]
    found = max(tried, key=lambda paths: (paths.hits, has_folders(paths.column)), default=None)
    if found is None or found.hits * 2 < of_all:
        return None
    return found if found.hits > hits or not sure or (found.hits == hits and has_folders(found.column)) else None


def _candidates(peek: Peek) -> Iterator[str]:
    """Columns that may name files: those with the usual names, then all others that hold text."""
    usual = [name for name in usual_names.PATHS if name in peek.columns]
    usual += [name for name in peek.columns if usual_names.is_path(name) and name not in usual]
    yield from usual
    for name in peek.columns:
        if name not in usual and not usual_names.is_caption(name):
            find = getter(name)
            if any(isinstance(find(record), str) for record in peek.records):
                yield name


def _ways(survey: Survey, peek: Peek, column: str, look: _Look) -> Iterator[Paths]:
    """The ways in which a column may name files, each with its hits; the plain ones first."""
    values = [value for record in peek.records if (value := value_of(record, column))]
    urls = [value for value in values if "://" in value and not value.startswith("file://")]
    if urls:
        fetched = Paths(column, hits=sum(map(is_fetched, urls)))
        saved = None if survey.listed else _behind_prefix(survey, column, urls, look)
        yield saved if saved and saved.hits * 2 >= len(urls) else fetched
    local = [value for value in values if "://" not in value or value.startswith("file://")]
    here = posixpath.dirname(peek.table)
    suffixes = _suffixes(survey)
    for folder in ("", *_media_folders(survey)):
        for suffix in suffixes:
            yield _tried(survey, column, local, suffix, folder, "folder", folder, look)
            inside = _below(folder, here)
            if here and inside is not None:
                yield _tried(survey, column, local, suffix, inside, "table", posixpath.join(here, inside), look)
    if cut := _behind_prefix(survey, column, local, look):
        yield cut


def _suffixes(survey: Survey) -> list[tuple[str, ...]]:
    """Suffixes to try behind a name: none, each, all. Stills come after all videos, whose thumbnails they may be."""
    known = survey.suffixes[:_MOST_SUFFIXES]
    videos = tuple(suffix for suffix in known if kind_of(f"a{suffix}") == "video")
    first = known if survey.listed else videos or known
    return [(), *((suffix,) for suffix in first), *(() if survey.listed else (first, known))]


def _media_folders(survey: Survey) -> Sequence[str]:
    """Folders in which a path may begin: those that hold media, and the folders above them."""
    found = dict.fromkeys(survey.folders[:_MOST_FOLDERS])
    for folder in list(found):
        while folder := posixpath.dirname(folder):
            found.setdefault(folder)
    return [folder for folder in found if folder]


def _below(folder: str, table: str) -> str | None:
    """A folder as seen from that of the table; None if it is not inside of it."""
    if folder in ("", table):
        return ""
    return folder.removeprefix(f"{table}/") if folder.startswith(f"{table}/") else None


def _tried(
    survey: Survey, column: str, values: list[str], suffixes: tuple[str, ...], videos: str, relative_to: str, base: str,
    look: _Look,
) -> Paths:  # fmt: skip
    hits, found = 0, dict[str, str]()
    for value in values:
        for name in (name for suffix in suffixes or ("",) for name in spellings(f"{value}{suffix}")):
            if name.startswith("/"):
                path = survey.folder.relative(name)
            else:
                joined = posixpath.join(base, name)
                outside = leaves_folder(joined if relative_to == "table" else name)
                path = None if outside else os.path.normpath(joined)
            if path is not None and (there := look(path)):
                hits += 1
                found[value] = there
                break
    return Paths(column, suffixes, videos, relative_to, hits=hits, found=found)


def _behind_prefix(survey: Survey, column: str, values: list[str], look: _Look) -> Paths | None:
    """The way in which files are found where the beginning of their names is cut off: that of another machine, of a
    server from which they came, or of the folders above this one. None: there is no such beginning.

    Folders without a machine may be others than this one: all names must be in them, and be of different files. A
    table that was joined from several has several beginnings; all names with a further one must be here.
    """
    prefix, folder = _prefix(survey, values, look)
    if not prefix:
        return None
    found = _cut(values, prefix, folder, look)
    if not _ABSOLUTE.match(prefix):
        if any(_form(value, prefix) is None for value in values) or len(set(found.values())) < len(found):
            return None
        return Paths(column, (), folder, "folder", prefix, sum(value in found for value in values), found)
    prefixes, clash = {prefix: folder}, ""
    left = [value for value in values if _form(value, prefix) is None]
    while left and not clash and len(prefixes) < _MOST_PREFIXES:
        further, place = _prefix(survey, left, look)
        if not _ABSOLUTE.match(further):
            break
        more = _cut(left, further, place, look)
        if len(more) < sum(_form(value, further) is not None for value in left):
            break
        clash = _clash(found, more)
        prefixes[further] = place
        found |= {value: path for value, path in more.items() if not clash}
        left = [value for value in left if _form(value, further) is None]
    plain = {value: there for value in left if (there := _as_it_stands(survey, value, look))}
    found |= plain
    hits = sum(value in found for value in values)
    if len(prefixes) == 1 and not plain:
        return Paths(column, (), folder, "folder", prefix, hits, found)
    return Paths(column, (), "", "folder", prefixes, hits, found, clash)


def _form(value: str, prefix: str) -> str | None:
    """A name as it is written with a beginning; None: it has another."""
    return next((form for form in spellings(value) if form.startswith(prefix)), None)


def _as_it_stands(survey: Survey, value: str, look: _Look) -> str | None:
    """The file that a name without a beginning to cut off is of; None: it is not here."""
    paths = [survey.folder.relative(form) if form.startswith("/") else form for form in spellings(value)]
    return next((there for path in paths if path and not leaves_folder(path) and (there := look(path))), None)


def _cut(values: list[str], prefix: str, folder: str, look: _Look) -> dict[str, str]:
    """Of the names with a beginning those whose files are here."""
    found: dict[str, str] = {}
    for value in values:
        form = _form(value, prefix)
        path = "" if form is None else posixpath.join(folder, form.removeprefix(prefix).lstrip("/"))
        if path and (there := look(os.path.normpath(path))):
            found[value] = there
    return found


def _clash(found: Mapping[str, str], more: Mapping[str, str]) -> str:
    """Two names with different beginnings that lead to one file."""
    owners = {path: value for value, path in found.items()}
    both = next(((owners[path], value, path) for value, path in more.items() if path in owners), None)
    return f"{both[0]} and {both[1]} may both be {both[2]}: name the files by their paths" if both else ""


def _prefix(survey: Survey, values: list[str], look: _Look) -> tuple[str, str]:
    """The part of names before those of files that are here, and the folder in which these are; empty if there is
    none."""
    folders = ("",) if survey.listed else ("", *_media_folders(survey))
    values = [value for value in values if value.startswith("/")] if survey.listed else values
    for form in (form for value in values[:_MOST_FOLDERS] for form in spellings(value)):
        if form.startswith("/") and survey.holds(survey.folder.relative(form)):
            continue
        parts = form.split("/")
        for number in range(1, len(parts)):
            rest = "/".join(parts[number:])
            for folder in folders:
                if rest and look(posixpath.join(folder, rest)):
                    return "/".join(parts[:number]) + "/", folder
    return "", ""


def not_in_one_folder(survey: Survey, paths: Paths, seen: Peek) -> str | None:
    """Why the folder in which a table's names were found may be the wrong one; None: it is right.

    A name without its folder may be one of several files, or one in another folder than the rest.
    """
    if paths.clash:
        return paths.clash
    if paths.relative_to == "table" or not isinstance(paths.prefix, str):
        return None
    for value in filter(None, (value_of(record, paths.column) for record in seen.records)):
        form = next((form for form in spellings(value) if form.startswith(paths.prefix)), value)
        name = form.removeprefix(paths.prefix)
        cut = bool(paths.prefix) and not _ABSOLUTE.match(paths.prefix)
        if _ABSOLUTE.match(name) or (value in paths.found and not paths.videos and not cut):
            continue
        folders = survey.folders[:_MOST_PLACES]
        ends = [f"{name}{suffix}" for suffix in paths.suffixes or ("",)]
        there = ([place for end in ends if survey.holds(place := posixpath.join(folder, end))] for folder in folders)
        places = [found[0] for found in there if found]
        if len(places) > (value in paths.found):
            where = " and ".join(sorted({*places, *filter(None, [paths.found.get(value)])})[:3])
            rest = f", and other files in {paths.videos or 'the folder itself'}" if value not in paths.found else ""
            join = "name the files by their paths, or by several columns: --path-column '{folder}/{name}'"
            return f"{value} is {where}{rest}: {join}"
    return None
