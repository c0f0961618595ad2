"""Many rows of a table at once: what ``file_list`` finds in each, column by column, where nothing is wrong in a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar

from walt.data.captions import Caption
from walt.ingest.sources.items import Item, Rules, Span, span_names
from walt.ingest.sources.kinds import FileList
from walt.ingest.sources.rows import Found
from walt.ingest.tables.cells import BadValue, Block, Cell, convert
from walt.ingest.tables.fields import fill, holes
from walt.ingest.tables.spans import make_spans, span_of_cell
from walt.media.kinds import Kind, kind_of

if TYPE_CHECKING:
    from walt.data.clip_table import Split

Cells = Mapping[str, list[Cell]]
"""By column, of all rows of a block."""
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Columns:
    """What was found in each row; None where nothing was, or nothing that can be taken as it is."""

    plain: list[bool]
    """Whether a row is an input, and nothing is wrong with it."""
    files: list[tuple[Found, Kind] | None]
    spans: list[Span | None]
    captions: list[tuple[Caption, ...] | None]
    labels: list[int | str | None]
    splits: list[Split | None]
    groups: list[str | None]
    numbers: list[Mapping[str, float | None] | None]

    def of(self, rows: slice) -> Columns:
        """Some of the rows."""
        return Columns(*(getattr(self, field.name)[rows] for field in fields(self)))


class RowRules:
    """What ``file_list`` says of single values."""

    def __init__(
        self,
        place: Callable[[str, str], object],
        label: Callable[[Cell], int | str | None],
        split: Callable[[Cell], Split | None],
    ) -> None:
        """Args: the file of (table, path), as ``RowFiles.place``; the class of a cell, or why it is none; its split."""
        self.place, self.label, self.split = place, label, split


def find_columns(source: FileList, rules: Rules, said: RowRules, block: Block, cells: Cells) -> Columns:
    """Look at all rows of a block."""
    count = len(block)
    none: list[Any] = [None] * count
    files = _of_each(_paths(source, cells), lambda path: _file(said.place(block.table, path), rules))
    spans = _spans(source, cells) or none
    captions = _captions(source, rules, cells) or [()] * count
    labels = _of_each(cells[source.label_column], said.label) if source.label_column else none
    splits = _of_each(cells[source.split_column], said.split) if source.split_column else none
    groups = [_text(cell) or None for cell in cells[source.group_column]] if source.group_column else none
    of_numbers = {name: _as_numbers(cells[name]) for name in source.number_columns}
    numbers = none
    if of_numbers:
        numbers = _numbers(of_numbers)
    tests: list[list[Any]] = [files]
    tests += [
        [not isinstance(number, BadValue) for number in column]
        for name, column in of_numbers.items()
        if column is not cells[name]
    ]
    tests += [spans] if source.span_columns else []
    tests += [captions] if rules.caption_required else [[found is not None for found in captions]]
    tests += [[not isinstance(label, str) for label in labels]] if source.label_column else []
    tests += [[cell in allowed for cell in cells[name]] for name, allowed in source.where.items()]
    tests += [
        [not isinstance(cell, BadValue) for cell in column]
        for column in block.columns
        if BadValue in set(map(type, column))
    ]
    plain = list(map(all, zip(*tests, strict=True)))
    return Columns(plain, files, spans, captions, labels, splits, groups, numbers)


def make_items(columns: Columns, rules: Rules) -> list[Item]:
    """The items of rows that are all plain."""
    files = [found for found in columns.files if found]
    sources = [found.source for found, _ in files]
    if any(columns.spans):
        sources = span_names(sources, columns.spans)
    paths, kinds = [found.location for found, _ in files], [kind for _, kind in files]
    values = zip(
        sources, paths, kinds, columns.captions, repeat(False), columns.labels, columns.splits, columns.spans,
        repeat(rules.images), repeat(rules.held_out_share), columns.groups, columns.numbers, strict=False,
    )  # fmt: skip
    return list(map(partial(tuple.__new__, Item), values))  # as Item._make, without a call in Python for each


def _paths(source: FileList, cells: Cells) -> list[str]:
    texts = {name: list(map(_text, cells[name])) for name in holes(source.path_column)}
    if source.path_column in texts:
        return texts[source.path_column]
    rows = zip(*texts.values(), strict=True)
    return [fill(source.path_column, dict(zip(texts, values, strict=True))) for values in rows]


def _file(found: object, rules: Rules) -> tuple[Found, Kind] | None:
    if not isinstance(found, Found):
        return None
    kind = kind_of(found.name)
    return None if rules.refuses(kind) else (found, kind)


def _spans(source: FileList, cells: Cells) -> list[Span | None]:
    ends = [cells[name] for name in source.span_columns or ()]
    return make_spans(*ends) if len(ends) == 2 else list(map(span_of_cell, *ends)) if ends else []


def _captions(source: FileList, rules: Rules, cells: Cells) -> list[tuple[Caption, ...] | None]:
    """Those of rows in which each column of captions has one, all of them different."""
    columns = []
    for name in source.caption_columns:
        texts = [cell[0] if cell and len(cell) == 1 else "" for cell in cells[name]]
        columns.append(rules.single_captions(name, texts))
    if len(columns) < 2:
        return [*columns[0]] if columns else []
    found: list[tuple[Caption, ...] | None] = []
    for row in zip(*columns, strict=True):
        captions = [captions[0] for captions in row if captions]
        different = len({caption.text for caption in captions}) == len(row)
        found.append(tuple(captions) if different else None)
    return found


def as_number(cell: Cell) -> Cell:
    """A cell's number, also of a column that is read as text, since it is one of labels or groups or of a name too."""
    return convert(cell, "number") if isinstance(cell, str | tuple) else cell


def _as_numbers(column: list[Cell]) -> list[Cell]:
    return list(map(as_number, column)) if {str, tuple} & set(map(type, column)) else column


def _numbers(columns: Cells) -> list[Mapping[str, float | None]]:
    """The numbers of each row, by column."""
    if len(columns) == 1:
        [(name, values)] = columns.items()
        return [{name: value} for value in values]
    return list(map(dict, map(zip, repeat(tuple(columns)), zip(*columns.values(), strict=True))))


def _of_each(values: list[Any], function: Callable[[Any], ValueT]) -> list[ValueT]:
    """What a function says of each value, called once for equal ones."""
    known = {value: function(value) for value in set(values)}
    return list(map(known.__getitem__, values))


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else ""
