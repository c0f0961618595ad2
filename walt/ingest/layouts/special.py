"""Recognises datasets of other special kinds: LeRobot, Parquet that holds the files, folders of frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

import pyarrow as pa

from walt.core.errors import ConfigurationError
from walt.ingest.layouts.found import Found, splits_by_name
from walt.ingest.layouts.usual_names import is_caption
from walt.ingest.sources.folders import Folder, LocalFolder
from walt.ingest.sources.frame_folders import are_frames, folders_of
from walt.ingest.sources.kinds import FrameFolders, LeRobot, ParquetBytes
from walt.ingest.sources.lerobot import INFO, read_info
from walt.ingest.sources.parquet_bytes import is_bytes
from walt.ingest.sources.parquet_cells import open_table
from walt.ingest.tables.parquet_table import is_text
from walt.media.kinds import is_media

_MOST_NAMES = 100_000
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
    tables = folder.matching("**/*.parquet")
    if not tables:
        return None
    try:
        with folder.open(tables[0]) as stream:
            schema = open_table(stream).schema_arrow
    except (pa.ArrowException, OSError):
        return None
    columns = [name for name in schema.names if _holds_files(name, schema.field(name).type)]
    if not columns:
        return None
    column = next((name for name in _NAMES if name in columns), columns[0])
    captions = tuple(name for name in schema.names if is_caption(name) and _is_caption(schema.field(name).type))
    top = "**/*.parquet" if any("/" in name for name in tables) else "*.parquet"
    split = splits_by_name(tables, ".parquet")
    notes = [f"{len(tables)} tables ({top}) hold files in the column {column}"]
    notes.append(f"captions: {', '.join(captions)}" if captions else "no column was found that holds captions")
    if others := [name for name in schema.names if name not in (column, *captions)]:
        notes.append(f"not used: the columns {', '.join(others)}")
    source = ParquetBytes(
        kind="parquet_bytes", tables=(top,), column=column, media="image" if "image" in column else "video",
        caption_columns=captions, split=split,
    )  # fmt: skip
    return Found(source, bool(captions), tuple(notes), () if captions else tuple(filter(is_caption, others)))


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
    of_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_text(kind.value_type if of_list else kind)
