"""Captions that were written after ingest, in a folder beside the manifest: ``data/captions``.

It has a part for each part of the manifest in which a clip's captions are others than the manifest's (the same file
name, see ``walt/data/partitions.py``), with a row for each such clip; readers of the manifest put these in their place.
``about.json`` names the manifest that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from walt.core.digests import sha256_file
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.data.captions import Caption
from walt.data.partitions import PARTS_INDEX, read_part, read_parts, write_parts

FOLDER = "captions"
"""Beside the manifest."""
ABOUT = "about.json"
_TEXT = pa.struct([pa.field(name, pa.string(), nullable=False) for name in Caption._fields])
CAPTIONS_TYPE = pa.list_(pa.field("element", _TEXT, False))
"""Of the manifest's column of captions, and of the one here."""


@dataclass(frozen=True)
class WrittenRow:
    """A clip whose captions are others than the manifest's."""

    key: str
    captions: tuple[Caption, ...]
    """All of them, in their order."""
    text: str | None
    """What a model said of the clip; None: it was not asked."""
    corrected: bool
    """Whether a person said something of it."""
    model: str | None
    """Folder or name, as configured; None: no model was asked."""
    digest: str | None
    """Of the model's weights and processor."""
    prompt: str | None
    seed: int | None


_SCHEMA = pa.schema([
    pa.field("key", pa.string(), False), pa.field("captions", CAPTIONS_TYPE, False), pa.field("text", pa.string()),
    pa.field("corrected", pa.bool_(), False), pa.field("model", pa.string()), pa.field("digest", pa.string()),
    pa.field("prompt", pa.string()), pa.field("seed", pa.int64()),
])  # fmt: skip


def write_written(folder: Path, manifest: Path, parts: Iterable[tuple[int, Sequence[WrittenRow]]]) -> None:
    """Bring the folder up to date; parts without rows are left out. Raises StorageError."""
    some = ((number, rows) for number, rows in parts if rows)
    plain = ((number, ({**vars(row), "captions": _plain(row.captions)} for row in rows)) for number, rows in some)
    write_parts(folder, plain, _SCHEMA)
    write_json_with_digest(folder / ABOUT, {"manifest": sha256_file(manifest / PARTS_INDEX)})


def _plain(captions: Iterable[Caption]) -> list[dict[str, str]]:
    return [caption._asdict() for caption in captions]


class WrittenCaptions:
    """The captions that were written for a manifest; none where the folder is not there.

    Raises:
        CorruptArtifactError: the index is damaged.
    """

    def __init__(self, manifest: Path) -> None:
        self._folder = manifest.with_name(FOLDER)
        there = (self._folder / PARTS_INDEX).is_file()
        self._parts = {entry.part: entry for entry in read_parts(self._folder)} if there else {}

    def __bool__(self) -> bool:
        return bool(self._parts)

    def of(self, part: str) -> dict[str, WrittenRow]:
        """The rows of a part of the manifest, by key.

        Raises:
            CorruptArtifactError: the part is not what its index says.
        """
        if part not in self._parts:
            return {}
        tables = read_part(self._folder, self._parts[part], _SCHEMA)
        rows = (row for table in tables for row in table.to_pylist())
        return {row["key"]: WrittenRow(**{**row, "captions": _captions(row["captions"])}) for row in rows}


def _captions(stored: Iterable[Mapping[str, str]]) -> tuple[Caption, ...]:
    return tuple(Caption(**caption) for caption in stored)


def check_written(manifest: Path, *, wanted: bool = False) -> None:
    """Check that written captions belong to this manifest.

    Args:
        wanted: whether there must be some. Otherwise none at all are as good as those of another manifest that hold no
            captions, since nobody reads anything of them.

    Raises:
        StorageError: there are none, or they were written for another one.
        CorruptArtifactError: what says so is damaged.
    """
    about = manifest.with_name(FOLDER) / ABOUT
    of_this = False
    if about.is_file():
        content, checked = read_json_with_digest(about)
        if not checked:
            raise CorruptArtifactError(f"{about}: its own digest is missing")
        of_this = content.get("manifest") == sha256_file(manifest / PARTS_INDEX)
    if of_this or not (wanted or WrittenCaptions(manifest)):
        return
    if not about.parent.exists():
        raise StorageError(f"{about.parent}: no captions were written; `walt caption` writes them")
    wrong = "of another manifest" if about.is_file() else "not whole"
    raise StorageError(f"{about.parent}: the captions are {wrong}; `walt caption` writes them again")


def with_written(table: pa.Table, written: Mapping[str, WrittenRow]) -> pa.Table:
    """A table of the manifest with written captions in place of its own; it has the column of keys."""
    if not written:
        return table
    keys: list[str] = table["key"].to_pylist()
    if not any(key in written for key in keys):
        return table
    own: list[Any] = table["captions"].to_pylist()
    captions = [_plain(written[key].captions) if key in written else said for key, said in zip(keys, own, strict=True)]
    place = table.schema.get_field_index("captions")
    return table.set_column(place, table.schema.field(place), pa.array(captions, CAPTIONS_TYPE))
