"""``walt inspect --captions``: clips with their captions to look at, and the table in which to correct them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from walt.captioning.corrections import FOLDER
from walt.core.errors import StorageError
from walt.core.paths import Paths
from walt.core.printable import printable
from walt.core.storage import write_bytes
from walt.data.captions import shown
from walt.data.manifest import ManifestRow, has_manifest, read_manifest
from walt.data.partitions import read_parts
from walt.data.written_captions import WrittenCaptions, WrittenRow
from walt.media.images import png_bytes
from walt.pages.contact_sheet import Tile, contact_sheet, first_middle_last
from walt.pages.stored_clips import StoredClips

SHEET, TABLE = "captions.png", "captions.csv"


def captions_sheet(root: Path, out: Path, count: int, seed: int) -> list[Path]:
    """Write a contact sheet of ``count`` clips, those whose captions were written by others than the dataset before
    the others; and a table of the captions of all clips. Returns both files.

    Raises:
        StorageError: nothing was ingested.
        CorruptArtifactError: a table or a tar is damaged.
    """
    paths = Paths(root)
    if not has_manifest(paths.manifest):
        raise StorageError(f"{paths.manifest}: no such manifest; `walt ingest` makes it")
    rows = read_manifest(paths.manifest)
    captions, written = WrittenCaptions(paths.manifest), dict[str, WrittenRow]()
    for part in read_parts(paths.manifest):
        written |= captions.of(part.part)
    chosen = _chosen(rows, written, count, seed)
    stored = dict(StoredClips(paths.clips).read(chosen))
    tiles = [
        Tile(first_middle_last(stored[row.key]), shown(row.captions), f"{row.key[:12]}  {_by(written.get(row.key))}")
        for row in chosen
        if row.key in stored
    ]
    subtitle = f"{len(rows)} clips; {len(written)} described after ingest; correct them in {FOLDER}"
    write_bytes(out / SHEET, png_bytes(contact_sheet("Captions", subtitle, tiles)))
    write_bytes(out / TABLE, _table(rows).encode())
    return [out / SHEET, out / TABLE]


def _chosen(rows: list[ManifestRow], written: dict[str, WrittenRow], count: int, seed: int) -> list[ManifestRow]:
    """Every n-th of the described clips, and of the others where these are too few, beginning at the seed."""
    described = [row for row in rows if row.key in written]
    others = [row for row in rows if row.key not in written]
    first = _spread(described, count, seed)
    return first + _spread(others, count - len(first), seed)


def _spread(rows: list[ManifestRow], count: int, seed: int) -> list[ManifestRow]:
    if count <= 0 or not rows:
        return []
    step = max(1, len(rows) // count)
    turned = rows[seed % len(rows) :] + rows[: seed % len(rows)]
    return turned[::step][:count]


def _by(row: WrittenRow | None) -> str:
    """Who described a clip, for people."""
    if row is None:
        return "dataset"
    return "corrected" if row.corrected else f"by {printable(str(row.model))}"


def _table(rows: list[ManifestRow]) -> str:
    """All captions, in the form of corrections; a clip without one has an empty cell to fill in."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["key", "caption", "name"])
    for row in rows:
        writer.writerows([row.key, caption.text, caption.name] for caption in row.captions)
        if not row.captions:
            writer.writerow([row.key, "", ""])
    return stream.getvalue()
