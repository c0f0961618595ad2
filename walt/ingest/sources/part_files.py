"""Tables of their own for single videos, which list the parts of each with their captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walt.core.errors import ConfigurationError
from walt.data.captions import Caption
from walt.ingest.sources.caption_files import CaptionFiles
from walt.ingest.sources.caption_places import CaptionFile
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Refusal, Span
from walt.ingest.tables.cells import ColumnKind, Columns, Row, convert
from walt.ingest.tables.fields import getter
from walt.ingest.tables.json_table import json_content
from walt.ingest.tables.read import Shape, read_rows
from walt.ingest.tables.spans import span_of_cells

Part = tuple[Span | None, list[Caption] | Refusal]


class PartFiles:
    """Finds and reads the parts of files."""

    def __init__(self, folder: Folder, files: Sequence[CaptionFile], names: CaptionFiles) -> None:
        """Args: files: those without ``spans`` are passed over; names: finds the tables."""
        self._folder, self._names = folder, names
        self._files = [file for file in files if file.spans]

    def parts(self, name: str) -> list[Part]:
        """The parts of a file with their captions, in the order of its tables; rows of one span together. Rows that
        cannot be read, and tables, are refusals. Empty: no such table is there, or none lists a part."""
        found: list[Part] = []
        for file in self._files:
            place = self._names.place(file.file, name)
            if isinstance(place, str):
                found += self._read(file, place, name)
            elif place is not None:
                found.append((None, Refusal(name, "bad_caption", place.cause)))
        return found

    def _read(self, file: CaptionFile, table: str, name: str) -> list[Part]:
        spans = file.spans or ()
        of_spans: ColumnKind = "list" if len(spans) == 1 else "moment"
        columns: dict[str, ColumnKind] = {**dict.fromkeys(spans, of_spans), **dict.fromkeys(file.fields, "texts")}
        captions: dict[Span, list[Caption]] = {}
        refused: list[Part] = []
        try:
            for row in self._rows(file, table, columns):
                said = f"{name}, {table} line {row.line}"
                if row.problem:
                    refused.append((None, Refusal(said, "bad_row", row.problem)))
                    continue
                ends = row.values[: len(spans)]
                span = span_of_cells(ends)
                if span is None:
                    cause = f"{' to '.join(map(repr, ends))[:80]} is not a span"
                    refused.append((None, Refusal(said, "bad_span", cause)))
                    continue
                texts = zip(file.fields, row.values[len(spans) :], strict=True)
                captions.setdefault(span, []).extend(
                    Caption(field, text) for field, cell in texts for text in cell or ()
                )
        except ConfigurationError as error:
            return [(None, Refusal(name, "bad_caption", str(error)))]
        return [*captions.items(), *refused]

    def _rows(self, file: CaptionFile, table: str, columns: Columns) -> Iterator[Row]:
        """The rows of a table; a JSON file that is the record of one part is one row."""
        if file.records is None and table.lower().endswith(".json"):
            with self._folder.open(table) as stream:
                content = json_content(table, stream)
            if isinstance(content, dict) and any(getter(name)(content) is not None for name in file.spans or ()):
                yield Row(table, 1, tuple(convert(getter(name)(content), kind) for name, kind in columns.items()))
                return
        yield from read_rows(self._folder, table, columns, shape=Shape(file.records))
