"""Recognises datasets of other special kinds: LeRobot, Parquet that holds the files, folders of frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

import pyarrow as pa

from walt.core.errors import ConfigurationError
from walt.ingest.layouts.caption_fields import caption_fields
from walt.ingest.layouts.found import Found, splits_by_name
from walt.ingest.layouts.usual_names import is_caption
from walt.ingest.sources.file_list import split_of
from walt.ingest.sources.folders import Folder, LocalFolder
from walt.ingest.sources.frame_folders import are_frames, folders_of
from walt.ingest.sources.kinds import FrameFolders, LeRobot, ParquetBytes
from walt.ingest.sources.lerobot import INFO, read_info
from walt.ingest.sources.parquet_bytes import is_bytes
from walt.ingest.sources.parquet_cells import open_table
from walt.ingest.tables.cells import spelled
from walt.ingest.tables.fields import root
from walt.ingest.tables.parquet_table import is_text
from walt.media.kinds import is_media

_MOST_NAMES = 100_000
_MOST_TABLES = 256
_LOOKED_AT = 32
FPS = 24.0
"""The rate of frames that nothing states."""
_NAMES = ("video", "videos", "video_blob", "mp4", "image", "images", "image_bytes")


def recognise_special(folder: Folder) -> Found | None:
    """The section that reads a folder of one of these kinds; None: it is none of them.

    Raises:
        ConfigurationError: a file that describes the dataset is damaged.
        StorageError: the folder cannot be listed.
    """
    for look in (recognise_lerobot, recognise_parquet_bytes, recognise_frames):
        found = look(folder)
        if found is not None:
            return found
    return None


def recognise_lerobot(folder: Folder) -> Found | None:
    """The section that reads a LeRobot dataset; None: there is no ``meta/info.json`` with cameras."""
    if not folder.has(INFO):
        return None
    try:
        about = read_info(folder)
    except ConfigurationError:
        return None
    used = [key for key in about.cameras if key not in about.depth]
    notes = [f"{INFO}: {len(used)} cameras: {', '.join(used)}; captions are the tasks, an episode is a group"]
    if about.depth:
        notes.append(f"not used: cameras of distances: {', '.join(about.depth)} (source.video_keys)")
    if len(about.splits) > 1:
        notes.append(f"splits are those of {INFO}: {', '.join(about.splits)}")
    return Found(LeRobot(kind="lerobot"), True, tuple(notes))


def recognise_parquet_bytes(folder: Folder) -> Found | None:
    """The section that reads Parquet tables with a column of files; None: the first table has none."""
    found = folder.matching("**/*.parquet")
    schemas = {name: _schema(folder, name) for name in found[:_MOST_TABLES]}
    holding = {name: columns for name, schema in schemas.items() if schema and (columns := _of_files(schema))}
    first = next(iter(holding), None)
    if first is None or (first != found[0] and any(map(is_media, _first(folder.names())))):
        return None  # of a folder of videos, other tables may hold bytes that are not files
    columns, schema = holding[first], schemas[first]
    assert schema is not None
    column = next((name for name in _NAMES if name in columns), columns[0])
    lacking = [name for name in schemas if column not in holding.get(name, ())]
    tables = [name for name in found if name not in lacking]
    top = "**/*.parquet" if any("/" in name for name in tables) else "*.parquet"
    captions = _captions(folder, first, schema)
    notes = [f"{len(tables)} tables ({top}) hold files in the column {column}"]
    notes.append(f"captions: {', '.join(captions)}" if captions else "no column was found that holds captions")
    if others := [name for name in schema.names if name != column and name not in map(root, captions)]:
        notes.append(f"not used: the columns {', '.join(others)}")
    folders = {part for name in tables for part in name.split("/")[:-1] if "=" in part and not split_of(part)}
    if folders:
        notes.append(f"not used: the folders {', '.join(sorted(folders)[:4])}")
    if captions and lacking:
        notes.append(f"not used: {', '.join(lacking[:4])}, which hold no files")
    source = ParquetBytes(
        kind="parquet_bytes", tables=tuple(tables) if lacking else (top,), column=column,
        media="image" if "image" in column else "video", caption_columns=captions,
        split=splits_by_name(tables, ".parquet"),
    )  # fmt: skip
    unread = () if captions else (*filter(is_caption, others), *lacking)
    return Found(source, bool(captions), tuple(notes), unread)


def _schema(folder: Folder, table: str) -> pa.Schema | None:
    try:
        with folder.open(table) as stream:
            return open_table(stream).schema_arrow
    except (pa.ArrowException, OSError):
        return None


def _of_files(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if _holds_files(name, schema.field(name).type)]


def _captions(folder: Folder, table: str, schema: pa.Schema) -> tuple[str, ...]:
    """The columns of captions: by their names and types, and inside of records and of texts that spell some."""
    plain = [name for name in schema.names if is_caption(name) and _is_caption(schema.field(name).type)]
    inside = [name for name in schema.names if _may_hold_records(schema.field(name).type)]
    if not inside:
        return tuple(plain)
    with folder.open(table) as stream:
        batch = next(open_table(stream).iter_batches(_LOOKED_AT, columns=inside), None)
    rows = [] if batch is None else batch.to_pylist()
    records = [
        {name: _record(value) for name, value in row.items()} | {"": None} for row in rows
    ]  # not one column alone
    named = [name for name in caption_fields(records) if "." in name]
    return (*(name for name in plain if name not in map(root, named)), *named)


def _record(value: object) -> object:
    return spelled(value) if isinstance(value, str) and value.startswith("{") else value


def _may_hold_records(kind: pa.DataType) -> bool:
    """Whether values are records without bytes, or texts that may spell some."""
    return is_text(kind) or (pa.types.is_struct(kind) and not any(map(is_bytes, (field.type for field in kind))))


def recognise_frames(folder: Folder) -> Found | None:
    """The section that reads folders of frames; None: some folder with pictures is not one, or there are videos."""
    if not isinstance(folder, LocalFolder):
        return None
    found: list[str] = []
    fewest = most = 0
    for name, names in folders_of(_first(folder.names())):
        media = [other for other in names if is_media(other)]
        if not media:
            continue
        if not are_frames(media):
            return None
        found.append(name)
        fewest, most = min(fewest or len(media), len(media)), max(most, len(media))
    if not found:
        return None
    captions: Literal["txt"] | None = "txt" if all(name and folder.has(f"{name}.txt") for name in found) else None
    notes = [
        f"{len(found)} folders hold numbered pictures ({fewest} to {most}): each is taken as a video, not as stills",
        f"their rate is not stated anywhere: {FPS:g} per second is a guess (source.fps)",
    ]
    notes += ["captions: the text beside each folder"] if captions else []
    where = ("**",) if any(found) else (".",)
    return Found(
        FrameFolders(kind="frames", folders=where, fps=FPS, caption=captions), captions is not None, tuple(notes)
    )


def lance_note(folder: Folder) -> str | None:
    """A line about a Lance dataset in the folder; None: there is none."""
    names = (name for name in _first(folder.names()) if ".lance/" in name or name.endswith(".lance"))
    first = next(names, None)
    if first is None:
        return None
    return f"not read: {first.partition('.lance')[0]}.lance is Lance; export it to Parquet"


def _first(names: Iterator[str]) -> Iterator[str]:
    return itertools.islice(names, _MOST_NAMES)


def _holds_files(name: str, kind: pa.DataType) -> bool:
    if is_bytes(kind):
        return name in _NAMES or name in ("bytes", "data")
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and is_bytes(kind.field("bytes").type)


def _is_caption(kind: pa.DataType) -> bool:
    of_others = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_dictionary)
    return is_text(kind.value_type if any(check(kind) for check in of_others) else kind)
