"""LeRobot datasets: what one camera saw in one episode is an input, captioned by the episode's tasks.

In v3 a file holds many episodes, and ``meta/episodes/**/*.parquet`` says from when to when each is in it; in v2 each
episode is a file, and ``meta/episodes.jsonl`` lists them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import ConfigurationError, StorageError
from walt.core.log import info, warning
from walt.core.suggestions import did_you_mean
from walt.data.captions import Caption
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Entry, Refusal, leaves_folder
from walt.ingest.sources.kinds import LeRobot
from walt.ingest.tables.spans import make_span

if TYPE_CHECKING:  # workers import this package, and need no tables
    from walt.data.clip_table import Split

INFO = "meta/info.json"
_V2_EPISODES = "meta/episodes.jsonl"
_V3_EPISODES = "meta/episodes/**/*.parquet"
_FIELD = re.compile(r"\{(\w+)(?::0?(\d{0,2})d)?\}")


@dataclass(frozen=True)
class _Info:
    """What ``meta/info.json`` says."""

    video_path: str
    """With ``{video_key}`` and numbers such as ``{chunk_index:03d}`` for which those of an episode are put."""
    cameras: tuple[str, ...]
    depth: tuple[str, ...]
    """Cameras whose pictures are distances."""
    chunks_size: int
    splits: Mapping[str, tuple[int, int]]
    """First episode and the one after the last, by name."""

    def split_of(self, episode: int) -> Split | None:
        """``train``, or held out by any other name; None: the dataset has only one split."""
        named = [name for name, (first, end) in self.splits.items() if first <= episode < end]
        if len(self.splits) < 2 or not named:
            return None
        return "train" if named == ["train"] else "held_out"


def entries(source: LeRobot, dataset: Dataset) -> Iterator[Entry]:
    """List every episode of every camera; in v3 as spans of files. Episodes are groups.

    Refusals: ``missing``, ``outside``, ``bad_span``, ``bad_row``, and those of ``Rules.item``.

    Raises:
        ConfigurationError: ``meta/info.json`` or the episodes are missing or damaged; there is no such camera.
    """
    folder = dataset.folder
    about = read_info(folder)
    cameras = source.video_keys or tuple(key for key in about.cameras if key not in about.depth)
    for key in cameras:
        if key not in about.cameras:
            known = ", ".join(about.cameras)
            hint = did_you_mean(key, about.cameras)
            raise ConfigurationError(f"source.video_keys: no camera '{key}'{hint} (of {known})")
    if not source.video_keys and about.depth:
        info(f"{folder.location(INFO)}: cameras of distances are left out: {', '.join(about.depth)}")
    skipped = 0
    for row in _episodes(folder, about.cameras):
        for key in cameras:
            entry = _entry(about, dataset, row, key)
            if source.absent == "skip" and isinstance(entry, Refusal) and entry.code == "missing":
                skipped += 1
            else:
                yield entry
    if skipped:
        warning(
            f"{folder.location('')}: {skipped} videos of episodes are not here and left out (source.absent is skip)"
        )


def _entry(about: _Info, dataset: Dataset, row: Mapping[str, Any], key: str) -> Entry:
    episode = row.get("episode_index")
    if not _is_index(episode):
        return Refusal(f"{row['']}/{key}", "bad_row", "episode_index is not a number of an episode")
    fields = {"episode_index": episode, "episode_chunk": episode // about.chunks_size}
    span = None
    name = f"episode {episode}/{key}"
    if f"videos/{key}/chunk_index" in row:
        fields |= {part: row[f"videos/{key}/{part}"] for part in ("chunk_index", "file_index")}
        if not all(map(_is_index, fields.values())):
            return Refusal(name, "bad_row", "the number of its chunk or file is missing")
        start, end = (row.get(f"videos/{key}/{end}_timestamp") for end in ("from", "to"))
        span = make_span(start, end)
        if span is None:
            return Refusal(name, "bad_span", f"from {start!r} to {end!r} is not a span")
    path = _filled(about.video_path, {**fields, "video_key": key})
    if path is None or leaves_folder(path):
        return Refusal(name, "outside", f"{INFO}: video_path is not a path in the dataset's folder")
    if not dataset.folder.has(path):
        return Refusal(name, "missing", f"its file {path} does not exist")
    tasks = row.get("tasks")
    texts = [tasks] if isinstance(tasks, str) else tasks if isinstance(tasks, list) else []
    captions = [Caption("task", text) for text in dict.fromkeys(text for text in texts if isinstance(text, str))]
    return dataset.rules.item(
        path, dataset.folder.location(path), captions, split=about.split_of(episode), span=span,
        group=f"episode {episode}",
    )  # fmt: skip


def read_info(folder: Folder) -> _Info:
    """``meta/info.json``. Raises ConfigurationError: it is missing, damaged, or of a dataset without videos."""
    where = folder.location(INFO)
    try:
        with folder.open(INFO) as stream:
            found = json.loads(stream.read().decode("utf-8"))
        features = found["features"]
        cameras = tuple(sorted(key for key, feature in features.items() if feature.get("dtype") == "video"))
        depth = tuple(key for key in cameras if (features[key].get("info") or {}).get("video.is_depth_map"))
        if not cameras or not isinstance(found.get("video_path"), str):
            raise ConfigurationError(
                f"{where}: the dataset has no videos (no feature of dtype video, or no video_path)"
            )
        splits = {str(name): _range(text) for name, text in (found.get("splits") or {}).items()}
        return _Info(found["video_path"], cameras, depth, max(1, int(found.get("chunks_size") or 1000)), splits)
    except (OSError, StorageError) as error:
        raise ConfigurationError(f"{where}: cannot be read: {error}") from None
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, OverflowError) as error:
        raise ConfigurationError(f"{where}: not the description of a LeRobot dataset: {_said(error)}") from None


def _range(text: str) -> tuple[int, int]:
    first, _, end = text.partition(":")
    return int(first or 0), int(end)


def _episodes(folder: Folder, cameras: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rows of the episodes by column; under an empty name, what to call the row in messages."""
    tables = folder.matching(_V3_EPISODES)
    if tables:
        for table in tables:
            yield from _v3_episodes(folder, table, cameras)
    elif folder.has(_V2_EPISODES):
        yield from _v2_episodes(folder)
    else:
        raise ConfigurationError(f"{folder.location('meta')}: neither episodes/**/*.parquet nor episodes.jsonl")


def _v3_episodes(folder: Folder, table: str, cameras: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    where = folder.location(table)
    parts = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
    wanted = ["episode_index", "tasks", *(f"videos/{key}/{part}" for key in cameras for part in parts)]
    number = 0
    try:
        with folder.open(table) as stream:
            file = pq.ParquetFile(stream)
            if lacking := [name for name in wanted if name not in file.schema_arrow.names and name != "tasks"]:
                raise ConfigurationError(f"{where}: no column '{lacking[0]}'")
            for batch in file.iter_batches(4096, columns=[name for name in wanted if name in file.schema_arrow.names]):
                for row in batch.to_pylist():
                    number += 1
                    yield {"": f"{table} row {number}", **row}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{where}: not valid Parquet: {_said(error)}") from None


def _v2_episodes(folder: Folder) -> Iterator[dict[str, Any]]:
    where = folder.location(_V2_EPISODES)
    with folder.open(_V2_EPISODES) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
                yield {"": f"{_V2_EPISODES} line {number}", **row}
            except (ValueError, TypeError, RecursionError) as error:
                raise ConfigurationError(f"{where}, line {number}: not a JSON map: {_said(error)}") from None


def _filled(template: str, fields: Mapping[str, Any]) -> str | None:
    """A path with its fields filled in; None: one is not known, or braces are left."""
    unknown = [name for name, _ in _FIELD.findall(template) if name not in fields]
    rest = _FIELD.sub("", template)
    if unknown or "{" in rest or "}" in rest:
        return None

    def fill(match: re.Match[str]) -> str:
        value = fields[match[1]]
        return f"{value:0{match[2]}d}" if match[2] and isinstance(value, int) else str(value)

    return _FIELD.sub(fill, template)


def _is_index(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
