"""A folder of videos and images with a CSV of captions, in any column order.

Inputs are the CSV's rows, and the media files in the folder that no row names. Hidden files, and files that look like
neither video nor image, are no inputs unless a row names them.
"""

from __future__ import annotations

import csv
import difflib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from walt.core import images, video
from walt.core.errors import ConfigurationError
from walt.core.manifest import printable
from walt.data.config import Descriptor
from walt.data.sources.items import Item, Listing, Refusal, kind_of

_LONGEST_FIELD = 1 << 24


@dataclass(frozen=True)
class _Row:
    line: int
    source: str
    caption: str


def list_items(descriptor: Descriptor, folder: Path, max_caption_characters: int) -> Listing:
    """List the dataset under ``folder``, sorted by path.

    Refusals: ``missing`` (no such file, or no path), ``outside`` (the path leaves the folder), ``duplicate_row`` (the
    path was in an earlier row), ``no_caption``, ``bad_caption`` (not UTF-8, or NUL), ``image`` (the dataset has none).

    Raises:
        ConfigurationError: the CSV is missing, is no CSV, or lacks a column.
    """
    listing = Listing()
    seen: dict[str, int] = {}
    for row in _read_rows(folder / descriptor.captions, descriptor.path_column, descriptor.caption_column):
        name = os.path.normpath(row.source) if row.source else ""
        if name in seen:
            cause = f"line {row.line} names the file of line {seen[name]} again"
            listing.refusals.append(Refusal(row.source, "duplicate_row", cause))
            continue
        refusal = _check_path(row, name, folder)
        if refusal:
            listing.refusals.append(refusal)
            continue
        seen[name] = row.line
        _add(listing, descriptor, row.source, folder / name, row.caption, max_caption_characters)
    for name in _media_files(folder):
        if name not in seen:
            _add(listing, descriptor, name, folder / name, "", max_caption_characters)
    listing.items.sort(key=lambda item: os.fsencode(item.source))
    return listing


def check_table(table: Path, path_column: str, caption_column: str) -> None:
    """Raise ConfigurationError when the CSV is missing, is no CSV, or lacks a column."""
    for _ in _read_rows(table, path_column, caption_column):
        pass


def _read_rows(table: Path, path_column: str, caption_column: str) -> Iterator[_Row]:
    """The rows of the CSV by the columns' names. Bytes that are no UTF-8 come out as surrogates, as in file names."""
    if not table.is_file():
        raise ConfigurationError(f"{table}: no such file (the descriptor's key 'captions' names it)")
    text = table.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        places = [_column(table, header, column) for column in (path_column, caption_column)]
        for fields in reader:
            if fields:  # blank lines are nothing
                source, caption = (fields[place] if place < len(fields) else "" for place in places)
                yield _Row(reader.line_num, source, caption)
    except csv.Error as error:
        raise ConfigurationError(f"{table}, line {reader.line_num}: not valid CSV: {error}") from None


def _column(table: Path, header: list[str], wanted: str) -> int:
    if header.count(wanted) == 1:
        return header.index(wanted)
    if wanted in header:
        raise ConfigurationError(f"{table}: column '{wanted}' is there {header.count(wanted)} times")
    nearest = difflib.get_close_matches(wanted, header, n=1, cutoff=0.5)
    hint = f"; did you mean '{printable(nearest[0])}'?" if nearest else ""
    raise ConfigurationError(f"{table}: no column '{wanted}'{hint} (columns: {printable(', '.join(header))})")


def _check_path(row: _Row, name: str, folder: Path) -> Refusal | None:
    """By the path's letters: a link inside the folder is its owner's decision, a ``..`` in a table is not."""
    if not name:
        return Refusal(f"line {row.line}", "missing", "the path is empty")
    if Path(name).is_absolute() or Path(name).parts[0] == os.pardir:
        return Refusal(row.source, "outside", "the path leaves the dataset's folder")
    if "\0" in name or not (folder / name).is_file():
        return Refusal(row.source, "missing", f"line {row.line} names it, but there is no such file")
    return None


def _media_files(folder: Path) -> Iterator[str]:
    """Relative paths of all videos and images under the folder; hidden ones are left out."""
    suffixes = video.SUFFIXES | images.SUFFIXES
    for directory, subdirectories, names in os.walk(folder):
        subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield str((Path(directory) / name).relative_to(folder))


def _add(
    listing: Listing, descriptor: Descriptor, source: str, path: Path, caption: str, max_caption_characters: int
) -> None:
    """Judge the caption and the kind; add an item or a refusal."""
    kind = kind_of(source)
    caption = caption.strip()
    if kind == "image" and not descriptor.images:
        listing.refusals.append(Refusal(source, "image", "the dataset's descriptor takes no still pictures"))
    elif not caption and descriptor.caption_required:
        cause = f"no caption in {descriptor.captions}, and the dataset's descriptor requires one"
        listing.refusals.append(Refusal(source, "no_caption", cause))
    elif "\0" in caption or not _is_text(caption):
        listing.refusals.append(Refusal(source, "bad_caption", "the caption holds bytes that are no UTF-8 text"))
    else:
        cut = caption[:max_caption_characters]
        listing.items.append(Item(source, path, kind, cut or None, cut != caption, None))


def _is_text(caption: str) -> bool:
    try:
        caption.encode("utf-8")
    except UnicodeEncodeError:  # a surrogate: a byte that was no UTF-8
        return False
    return True
