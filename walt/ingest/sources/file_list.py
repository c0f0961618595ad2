"""Tables with one file or URL per row, its captions, and optionally its class, span, split, group and numbers."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from walt.core.errors import ConfigurationError
from walt.core.log import info, warning
from walt.data.captions import Caption
from walt.ingest.sources.classes import labels_by_name, unknown_class
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Again, Entry, Item, Refusal, Span, leaves_folder, spellings
from walt.ingest.sources.kinds import FileList
from walt.ingest.sources.list_blocks import Columns, RowRules, as_number, find_columns, make_items
from walt.ingest.sources.rows import Found, Later, RowFiles
from walt.ingest.tables.cells import BadValue, Block, Cell, ColumnKind, Row
from walt.ingest.tables.fields import fill, holes
from walt.ingest.tables.read import Shape, find_tables, read_blocks
from walt.ingest.tables.spans import span_of_cells

if TYPE_CHECKING:
    from walt.data.clip_table import Split

_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "held_out"),
    **dict.fromkeys(("test", "testing", "eval", "held_out"), "held_out"),
}
_WORD = re.compile("[a-z]+(?:_out)?")


def entries(source: FileList, dataset: Dataset) -> Iterator[Entry]:
    """List the rows of all tables, and the other files of the folder where the source says so.

    Refusals: those of ``RowFiles.find`` and of ``Rules.item``, ``bad_span``, ``unknown_class``.

    Raises:
        ConfigurationError: a table is missing, cannot be read, or lacks a column; labels without classes.
    """
    reader = _Rows(source, dataset)
    for table in find_tables(dataset.folder, source.tables):
        for part in read_blocks(dataset.folder, table, reader.required, reader.numbers, reader.shape):
            if isinstance(part, Block):
                yield from reader.entries(part)
            elif entry := reader.entry(part):
                yield entry
    yield from reader.later()
    reader.report()
    if source.unlisted == "take":
        for name in reader.files.unnamed(dataset.folder.names()):
            yield dataset.rules.item(name, dataset.folder.location(name), "")


def split_of(text: str) -> Split | None:
    """The split that a text names by one of its words, as in ``something-v2-validation.json``; None: by none, or by
    words of both."""
    found = {_SPLITS[word] for word in _WORD.findall(text.lower()) if word in _SPLITS}
    return found.pop() if len(found) == 1 else None


def columns_of(source: FileList) -> dict[str, ColumnKind]:
    """The columns that a source reads, each once. Raises ConfigurationError: two settings name the same column."""
    kinds: dict[str, ColumnKind] = dict.fromkeys(holes(source.path_column), "text")
    wanted: list[tuple[str | None, ColumnKind]] = [(name, "texts") for name in source.caption_columns]
    wanted.append((source.label_column, "text"))
    spans: ColumnKind = "list" if len(source.span_columns or ()) == 1 else "moment"
    for name, kind in wanted + [(name, spans) for name in source.span_columns or ()]:
        if name in kinds and name != source.label_column:
            raise ConfigurationError(f"source: the column '{name}' is named twice")
        if name is not None:
            kinds.setdefault(name, kind)
    for name in (source.split_column, source.group_column, *source.where):
        if name is not None:
            kinds.setdefault(name, "text")
    return kinds


def shape_of(source: FileList) -> Shape:
    """How the rows of a source follow from what its tables hold."""
    join = source.join
    joined = None if join is None else (join.records, join.key, join.by or join.key)
    return Shape(source.records, source.explode, joined)


class _Rows:
    """Turns rows into entries."""

    def __init__(self, source: FileList, dataset: Dataset) -> None:
        self._source, self._dataset = source, dataset
        self._labels = None if source.label_column is None else labels_by_name(dataset.classes, source.kind)
        self._not_numbers: Counter[str] = Counter()
        self._later: list[Row] = []  # which name files in other capital letters
        self._left_out = 0  # rows that source.where excludes
        required: dict[str, ColumnKind] = columns_of(source)
        self.numbers: dict[str, ColumnKind] = {name: "number" for name in source.number_columns if name not in required}
        self.required = required
        self._holes = holes(source.path_column)
        self.shape = shape_of(source)
        videos = source.videos if source.relative_to == "folder" else ""
        self.files = RowFiles(dataset.folder, videos, source.absent, prefix=source.prefix, repeats=True, fps=source.fps)
        self._said = RowRules(self._place, self._label, _split)

    def entry(self, row: Row) -> Entry | None:
        """The input of a row; None: it is not an input."""
        source = self._source
        cells = dict(zip((*self.required, *self.numbers), row.values, strict=True))
        numbers = self._numbers(cells)
        row = Row(row.table, row.line, tuple(cells.values()))
        path = fill(source.path_column, {name: _text(cells[name]) for name in self._holes})
        if row.problem or not all(cells[name] in allowed for name, allowed in source.where.items()):
            self._name(row, path)
            self._left_out += not row.problem
            return Refusal(row.name, "bad_row", f"line {row.line}: {row.problem}") if row.problem else None
        span: Span | None = None
        if source.span_columns is not None:
            ends = [cells[name] for name in source.span_columns]
            span = span_of_cells(ends)
            if span is None:
                self._name(row, path)
                said = f"from {ends[0]!r} to {ends[1]!r}" if len(ends) == 2 else repr(ends[0])[:60]
                return Refusal(path or row.name, "bad_span", f"line {row.line}: {said} is not a span")
        label = self._label(cells[source.label_column]) if source.label_column else None
        if isinstance(label, str):
            self._name(row, path)
            return Refusal(path or row.name, "unknown_class", label)
        found = self.files.find_or_wait(row, self._names(row, path), span)
        if isinstance(found, Later):
            self._later.append(row)
            return None
        if not isinstance(found, Found):
            return found
        split = _split(cells[source.split_column]) if source.split_column else None
        group = _text(cells[source.group_column]) if source.group_column else ""
        entry = self._dataset.rules.item(
            found.source, found.location, self._captions(cells), label=label, split=split, span=span, name=found.name,
            group=group or None, numbers=numbers,
        )  # fmt: skip
        if not found.earlier:
            return entry
        return Again(entry, found.earlier) if isinstance(entry, Item) else _repeated(entry, found.earlier)

    def entries(self, block: Block) -> Iterator[Entry]:
        """The inputs of many rows, the same as those of ``entry`` for each. Rows in which everything is as it should be
        become items together, column by column; ``entry`` looks at each of the others."""
        cells = dict(zip((*self.required, *self.numbers), block.columns, strict=True))
        columns = find_columns(self._source, self._dataset.rules, self._said, block, cells)
        for plain, run in groupby(range(len(block)), columns.plain.__getitem__):
            rows = list(run)
            items = self._together(block, columns, rows) if plain else [None] * len(rows)
            if all(items):
                yield from filter(None, items)
                continue
            for number, item in zip(rows, items, strict=True):
                if entry := item or self.entry(block.row(number)):
                    yield entry

    def later(self) -> Iterator[Entry]:
        """The inputs of rows that could not be decided before all others were known. To be called after the last."""
        self.files.settle()
        yield from filter(None, map(self.entry, self._later))

    def report(self) -> None:
        """Say what rows were not inputs, and which cells held no numbers. To be called after the last row."""
        self.files.report()
        if self._left_out:
            info(f"{self._left_out} rows are left out by source.where")
        for name, count in sorted(self._not_numbers.items()):
            warning(f"column '{name}': {count} rows hold something that is not a number; they have no value there")

    def _together(self, block: Block, columns: Columns, rows: Sequence[int]) -> Sequence[Item | None]:
        """The items of plain rows that follow each other; None for a row that names what an earlier row named."""
        found = columns.of(slice(rows[0], rows[-1] + 1))
        files = [file[0] for file in found.files if file]
        first = self.files.first(files, found.spans, block.table, block.lines[rows[0] : rows[-1] + 1])
        items = make_items(found, self._dataset.rules)
        return items if all(first) else [item if new else None for item, new in zip(items, first, strict=True)]

    def _name(self, row: Row, path: str) -> None:
        """Remember the file that a row names which is not an input: it does not count as a file that no row names."""
        if path and self._source.unlisted == "take":
            self.files.name(row.table, self._names(row, path))

    def _place(self, table: str, path: str) -> Found | Refusal | Later | None:
        row = Row(table, 0, ())
        return self.files.place(row, self._names(row, path))

    def _names(self, row: Row, path: str) -> Sequence[str]:
        """Where a row's file may be."""
        if self._source.relative_to == "table" and "://" not in path and not path.startswith("/"):
            name = posixpath.join(posixpath.dirname(row.table), self._source.videos, path) if path else ""
            path = posixpath.normpath(name) if name and not leaves_folder(name) else name
        suffixes = ("", *self._source.suffixes) if path else ("",)
        return [f"{form}{suffix}" for form in spellings(path) for suffix in suffixes]

    def _captions(self, cells: Mapping[str, Cell]) -> list[Caption]:
        return [Caption(name, text) for name in self._source.caption_columns for text in cells[name] or ()]

    def _label(self, cell: Cell) -> int | str | None:
        """The class that a cell names; a text: why there is no such class."""
        assert self._labels is not None, "a column of labels needs classes"
        name = cell[0] if isinstance(cell, tuple) and cell else _text(cell)
        if not name:
            return None
        label = self._labels.get(name, int(name) if name.isdecimal() and len(name) < 10 else len(self._labels))
        return label if label < len(self._labels) else unknown_class(name, self._labels)

    def _numbers(self, cells: dict[str, Cell]) -> dict[str, float | None] | None:
        """A row's numbers; a cell that holds none is emptied, and counted."""
        whole_row = [value for value in cells.values() if isinstance(value, BadValue)]
        if not self._source.number_columns or len(whole_row) == len(cells):
            return None
        found: dict[str, float | None] = {}
        for name in self._source.number_columns:
            number = as_number(cells[name])
            found[name] = None if isinstance(number, BadValue) else number
            if isinstance(number, BadValue):
                self._not_numbers[name] += 1
            if name in self.numbers:
                cells[name] = found[name]
        return found


def _repeated(entry: Entry, cause: str) -> Refusal:
    """The refusal of a further row that brings no caption."""
    code = entry.code if isinstance(entry, Refusal) and entry.code != "no_caption" else "duplicate_row"
    return Refusal(entry.source, code, cause if code == "duplicate_row" else getattr(entry, "cause", cause))


def _split(cell: Cell) -> Split | None:
    return split_of(_text(cell))


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else ""
