"""Captions that are in a folder twice, as exports leave them: read once where both say the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from walt.core.errors import ConfigurationError
from walt.ingest.layouts.choice import Choice
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.unused import Unused
from walt.ingest.sources.adapters import entries
from walt.ingest.sources.caption_files import filled
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Again, Entry, Item, Listing, Rules, Span
from walt.ingest.sources.kinds import FileList, LineFiles, OneSource, PlainFolder
from walt.ingest.tables.read import find_tables

_MOST_CHARACTERS = 1 << 20
_MOST_TABLES = 16
"""Tables that are compared."""
Said = Mapping[tuple[str, Span | None], set[str]]
"""File and span -> the texts of its captions."""


def one_way(survey: Survey, ways: Sequence[tuple[Choice, set[str]]]) -> tuple[Choice, set[str]]:
    """Of several ways to read captions the one that has all those of the others, and what all of them read.

    Args:
        ways: each with the names of what it reads, the first of which is the table's.

    Raises:
        ConfigurationError: none has all.
    """
    if len(ways) == 1:
        return ways[0]
    ways = sorted(ways, key=lambda way: -_says_more(way[0]))
    said = [_captions_of(survey.folder, choice.source) for choice, _ in ways]
    for (choice, _), own in zip(ways, said, strict=True):
        if all(_says_all(own, other) for other in said):
            for other, names in ways:
                if other is not choice:
                    choice.unused.append(Unused(sorted(names), f"the same captions as in {_first(choice)}"))
            return choice, set[str]().union(*(names for _, names in ways))
    tables = " and ".join(_first(choice) for choice, _ in ways)
    both = f"{tables} both name files and captions"
    raise ConfigurationError(f"{both}: say which is meant with --captions TABLE, or make a union (datasets/union.md)")


def beside_is_the_same(choice: Choice, listing: Listing, dataset: Dataset) -> tuple[Choice, Listing]:
    """The choice with a line about captions beside its table's files: they are the same, or the first that is not is
    named, and they may be lost. The listing stays: the table's captions are in it already."""
    sidecars = choice.beside
    if sidecars is None:
        return choice, listing
    source = PlainFolder(kind="folder", patterns=("**/*",), captions=tuple(sidecars.files))
    said, own = _said_by(dataset.folder, listing.items), Listing.collect(entries(source, dataset))
    differ = {
        name for (name, span), texts in _said_by(dataset.folder, own.items).items() if not texts <= said[name, span]
    }
    differ |= {refusal.source for refusal in own.refusals if refusal.code == "bad_caption"}
    table = _first(choice)
    if not differ:
        unused = Unused(sorted(sidecars.used), f"the same captions as in {table}")
    else:
        places = {filled(file.file, name) for file in sidecars.files for name in differ}  # also those of several files
        of_them = (text for text, name in sidecars.owners.items() if name in differ or text in places)
        odd = min(of_them, default=min(sidecars.used))
        cause = f"captions of single files, beside what is read; {odd} says something else than {table}"
        unused = Unused(sorted(sidecars.used), cause, True)
    return replace(choice, unused=[*choice.unused, unused], beside=None), listing


def without_copies(folder: Folder, source: FileList) -> tuple[FileList, dict[str, str]]:
    """A list without those of its tables of which another has all rows, and which that is: each of their rows would be
    refused for naming a file again. Raises ConfigurationError as the list's adapter."""
    tables = find_tables(folder, source.tables)
    if not 1 < len(tables) <= _MOST_TABLES:
        return source, {}
    said = {table: _captions_of(folder, source.model_copy(update={"tables": (table,)})) for table in tables}
    copies: dict[str, str] = {}
    for table in sorted(tables, key=lambda table: len(said[table])):
        others = (other for other in tables if other != table and other not in copies)
        if whole := next((other for other in others if _says_all(said[other], said[table])), None):
            copies[table] = whole
    left = tuple(table for table in tables if table not in copies)
    return source.model_copy(update={"tables": left}), copies


def _says_more(choice: Choice) -> int:
    """How much a way says beside captions."""
    source = choice.source
    if not isinstance(source, FileList):
        return 0
    return len(source.number_columns) + sum(map(bool, (source.split_column, source.group_column, source.label_column)))


def _first(choice: Choice) -> str:
    source = choice.source
    return source.tables[0] if isinstance(source, FileList) else source.paths if isinstance(source, LineFiles) else ""


def _captions_of(folder: Folder, source: OneSource) -> Said:
    """What a source says of the folder's files. Raises ConfigurationError as the source's adapter."""
    if isinstance(source, FileList):
        source = source.model_copy(update={"label_column": None})  # whose classes are not needed here
    found = entries(source, Dataset(folder, Rules(True, False, _MOST_CHARACTERS), None))
    return _said_by(folder, (entry.item if isinstance(entry, Again) else entry for entry in found))


def _said_by(folder: Folder, found: Iterable[Entry]) -> defaultdict[tuple[str, Span | None], set[str]]:
    """What inputs say, by the names of their files in the folder."""
    said: defaultdict[tuple[str, Span | None], set[str]] = defaultdict(set)
    for item in found:
        if isinstance(item, Item) and item.captions:
            name = item.path.removeprefix(folder.location("")).lstrip("/")
            said[name, item.span].update(caption.text for caption in item.captions)
    return said


def _says_all(one: Said, other: Said) -> bool:
    """Whether one has all captions that the other has."""
    return all(texts <= one.get(key, set()) for key, texts in other.items())
