"""Where captions are that are in files of their own: a section of the descriptor."""

from __future__ import annotations

from typing import Literal

from walt.core.config import Section


class CaptionFile(Section):
    """Where the captions of a file are, if each file has another with its captions."""

    file: str
    """Its path, a template: ``{path}.txt`` beside the file (``{path}`` is the file's path without its suffix,
    ``{name}`` with it), ``metas/{rest}.txt`` in a folder of its own (``{rest}`` is ``{path}`` without the first
    folder), or with ``{stem}``, the last part of ``{path}``; ``metas/{rest}{suffix}.json``, where a text has the file's
    whole name; ``{folder}/caption.txt`` in the folder of each file."""
    fields: tuple[str, ...] = ()
    """Of a JSON file: the fields that hold captions (``walt.ingest.tables.fields``). Empty: it is a text."""
    lines: Literal["one", "each"] = "one"
    """Whether a text is one caption, or each of its lines is one."""
    spans: tuple[str, str] | tuple[str] | None = None
    """Of a table (CSV, TSV, JSON, JSON lines, Parquet) with a part of the video per row: the columns of its start and
    end in seconds, or the one with both; ``fields`` are those of its captions. Then the parts are inputs, not the
    file."""
    records: str | None = None
    """Of such a JSON file: the field that holds the list of the parts; null: the file is that list."""
