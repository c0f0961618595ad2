"""Columns of the manifest that not every dataset has: the member of a union, and columns that a user brings, which are
numbers from their own tables and what their own steps said of each clip.

Numbers come with the inputs (``number_columns`` of a list). Annotations are Parquet tables in ``datasets/annotations``
with a column ``key`` of clips and further columns, which ``walt annotate`` writes or anything else. Both are kept in
the manifest under their own names, and ``ingest.filter`` may bound them, as it may bound the measures of clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import ConfigurationError
from walt.core.suggestions import did_you_mean
from walt.data.manifest import MANIFEST_SCHEMA, MEMBER, Value
from walt.ingest import clip_filters
from walt.ingest.clip_cache import ClipEntry
from walt.ingest.config import Bounds, ScreenConfig
from walt.ingest.sources.items import Item
from walt.ingest.tables.parquet_table import decimals, is_text, why_unreadable

ANNOTATIONS = "datasets/annotations"
KEY = "key"
BELOW = "below_threshold"
"""Code of inputs and clips that are refused by ``ingest.filter``."""

Kind = type[float] | type[str]


@dataclass(frozen=True)
class Annotations:
    """What is said of clips, by column, then by the clip's key."""

    values: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def of(self, key: str) -> dict[str, Value]:
        """What is said of a clip; None in columns that say nothing of it."""
        return {name: found.get(key) for name, found in self.values.items()}


@dataclass(frozen=True)
class UserColumns:
    """All columns that the user brings."""

    numbers: tuple[str, ...] = ()
    """Of the inputs."""
    annotations: Annotations = field(default_factory=Annotations)
    """Of the clips."""
    of_union: bool = False
    """Whether the dataset is a union, whose manifest says besides which member a clip is of."""

    @classmethod
    def read(cls, root: Path, items: Iterable[Item], *, of_union: bool = False) -> UserColumns:
        """Collect them.

        Args:
            root: of the project.
            of_union: whether the dataset is one.

        Raises:
            ConfigurationError: a table of annotations cannot be used, or a name is taken.
        """
        numbers = sorted({name for item in items if item.numbers for name in item.numbers})
        annotations = read_annotations(root / ANNOTATIONS)
        check_names(numbers)
        for name in numbers:
            if name in annotations.kinds:
                said = f"the name of a column of another table of yours, in {ANNOTATIONS}"
                raise ConfigurationError(f"the column '{name}' of your data has {said}")
        if of_union and MEMBER in [*numbers, *annotations.kinds]:
            raise ConfigurationError(f"the column '{MEMBER}' of your data has the name of a union's own column")
        return cls(tuple(numbers), annotations, of_union)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Names and types, in the order in which the manifest has them."""
        of_union: dict[str, Kind] = {MEMBER: str} if self.of_union else {}
        return of_union | dict.fromkeys(self.numbers, float) | dict(self.annotations.kinds)

    def of(self, item: Item, key: str) -> dict[str, Value]:
        """The values for a clip of an input."""
        found = item.numbers or {}
        member: dict[str, Value] = {MEMBER: item.source.partition("/")[0]} if self.of_union else {}
        return member | {name: found.get(name) for name in self.numbers} | self.annotations.of(key)

    def check(self, bounds: Mapping[str, Bounds]) -> None:
        """Raise ConfigurationError if ``ingest.filter`` names a column that is not there or holds no numbers."""
        known = {**clip_filters.columns(), **self.kinds}
        for name in bounds:
            if name not in known:
                columns = ", ".join(known)
                hint = did_you_mean(name, known)
                raise ConfigurationError(f"ingest.filter: no column '{name}'{hint} (columns: {columns})")
            if known[name] is not float:
                raise ConfigurationError(f"ingest.filter: the column '{name}' holds text, not numbers")

    def why_refused(self, item: Item, bounds: Mapping[str, Bounds]) -> str | None:
        """Why the numbers of an input keep it out; None: they do not."""
        found = item.numbers or {}
        of_inputs = {name: found.get(name) for name in bounds if name in self.numbers}
        return outside(of_inputs, bounds)


@dataclass(frozen=True)
class ClipBounds:
    """The part of ``ingest.filter`` that is about single clips: their measures and annotations."""

    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    annotations: Annotations = field(default_factory=Annotations)

    @classmethod
    def of(cls, columns: UserColumns, bounds: Mapping[str, Bounds]) -> ClipBounds:
        """Those of the user's filter."""
        about_clips = {name: both for name, both in bounds.items() if name not in columns.numbers}
        return cls(about_clips, columns.annotations)

    def why_refused(self, clip: ClipEntry, screen: ScreenConfig) -> str | None:
        """Why a clip is refused; None: it is not."""
        if not self.bounds:
            return None
        values = {**clip_filters.values(clip, screen), **self.annotations.of(clip.key)}
        return outside({name: values[name] for name in self.bounds}, self.bounds)


def outside(values: Mapping[str, Value], bounds: Mapping[str, Bounds]) -> str | None:
    """Which value is not within its bounds, in words; None: all are. A value that is not there is not within."""
    for name, value in values.items():
        least, most = bounds[name]
        if value is None:
            return f"it has no {name}, which ingest.filter asks for"
        assert isinstance(value, int | float)
        if least is not None and value < least:
            return f"{name} {value:g} is less than {least:g}"
        if most is not None and value > most:
            return f"{name} {value:g} is more than {most:g}"
    return None


def check_names(names: Iterable[str], where: str = "") -> None:
    """Raise ConfigurationError if columns of the user's have names that the manifest has for its own.

    Args:
        where: the table, for the message, with a colon and a space after it.
    """
    taken = dict.fromkeys(MANIFEST_SCHEMA.names, "the manifest") | dict.fromkeys(clip_filters.columns(), "a measure")
    for name in names:
        if name in taken:
            said = f"the column '{name}' of your data has the name of a column of {taken[name]}"
            raise ConfigurationError(f"{where}{said}")


def read_annotations(folder: Path) -> Annotations:
    """The tables of a folder, together; none if there is no folder.

    Raises:
        ConfigurationError: a table is not Parquet, has no ``key``, one twice, one that is not text, no further column,
            a column that is neither numbers nor text or has a name of the manifest's own; or two tables have a column
            of the same name.
    """
    values: dict[str, Mapping[str, Value]] = {}
    kinds: dict[str, Kind] = {}
    for path in sorted(folder.glob("*.parquet")):
        for name, (kind, found) in read_table(path).items():
            if name in kinds:
                raise ConfigurationError(f"{path}: another table of {folder.name} has a column '{name}' as well")
            kinds[name], values[name] = kind, found
    return Annotations(values, kinds)


def read_table(path: Path) -> dict[str, tuple[Kind, dict[str, Value]]]:
    """The columns of one table: their type, and their values by key; no value where a number is NaN.

    Raises ConfigurationError, see ``read_annotations``.
    """
    try:
        kinds = _kinds(path, pq.read_schema(path))
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise ConfigurationError(f"{path}: {why_unreadable(error)}") from None
    keys = table.column(KEY).to_pylist()
    if None in keys:
        raise ConfigurationError(f"{path}: row {keys.index(None)} is without a key (the first row is 0)")
    check_names(kinds, f"{path}: ")
    if len(set(keys)) < len(keys):
        seen: set[object] = set()
        twice = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ConfigurationError(f"{path}: the key '{twice}' is there twice")
    found: dict[str, tuple[Kind, dict[str, Value]]] = {}
    for name, kind in kinds.items():
        cells = zip(keys, decimals(table.column(name)).to_pylist(), strict=True)
        found[name] = kind, {key: None if cell is None or cell != cell else kind(cell) for key, cell in cells}
    return found


def _kinds(path: Path, schema: pa.Schema) -> dict[str, Kind]:
    """The columns besides the key, by their types: a file may have some that are not read."""
    if schema.names.count(KEY) != 1 or len(schema.names) < 2:
        said = f"a column '{KEY}' of clips and at least one more are needed"
        raise ConfigurationError(f"{path}: {said} (columns: {', '.join(schema.names)})")
    if not is_text(schema.field(KEY).type):
        raise ConfigurationError(f"{path}: column '{KEY}' is of type {schema.field(KEY).type}, expected text")
    if twice := next((name for name in schema.names if schema.names.count(name) > 1), None):
        raise ConfigurationError(f"{path}: column '{twice}' is there {schema.names.count(twice)} times")
    return {field.name: _kind(path, field.name, field.type) for field in schema if field.name != KEY}


def _kind(path: Path, name: str, found: pa.DataType) -> Kind:
    if is_text(found):
        return str
    if pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_boolean(found):
        return float
    raise ConfigurationError(f"{path}: column '{name}' is of type {found}, expected numbers or text")
