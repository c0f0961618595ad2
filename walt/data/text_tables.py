"""The tables beside the text embeddings: the captions, the class and the member of each clip.

``captions.parquet`` has all clips, with the names of their captions and the keys of their embeddings in the tars.
``labels.parquet`` has the clips that have a class. ``members.parquet``, which only a union has, has all clips; it is
read in ``walt.data.members``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import check_parquet, parquet_writer
from walt.data.key_index import Ids, KeyIndex, ids_of, ids_of_column, numbers_in, sorted_order, text_of

if TYPE_CHECKING:
    from walt.data.captions import Caption

CAPTIONS_TABLE = "captions.parquet"
LABELS_TABLE = "labels.parquet"
MEMBERS_TABLE = "members.parquet"

TEXT_FORM = 3
"""Version of the stored form of text: of the tars and of ``captions.parquet``."""

ID_DIGITS = 32
_CLIPS_PER_GROUP = 1 << 17
_TEXTS = pa.list_(pa.field("element", pa.string(), nullable=False))
_CAPTIONS_SCHEMA = pa.schema([
    pa.field("key", pa.string(), nullable=False), pa.field("names", _TEXTS, nullable=False),
    pa.field("ids", _TEXTS, nullable=False),
])  # fmt: skip

_LABELS_PER_GROUP = 1 << 20  # pyarrow's default; so many rows are in memory at a time
_LABELS_SCHEMA = pa.schema([("key", pa.string()), ("label", pa.int64())])

MEMBER = "member"
MEMBERS_SCHEMA = pa.schema(
    [pa.field("key", pa.string(), nullable=False), pa.field(MEMBER, pa.string(), nullable=False)]
)


def caption_id(text: str) -> str:
    """32 hexadecimal digits, a hash, that name a caption, the same wherever it occurs."""
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


@dataclass(frozen=True)
class CaptionTable:
    """Which captions each of N clips has, without an object for each: about 40 bytes a clip that has one caption.

    Clips are in the order of their ids (``walt.data.key_index``), their M captions one after another.
    """

    max_tokens: int
    """L: the length to which embeddings are padded."""
    clips: KeyIndex
    kinds: tuple[tuple[str, ...], ...]
    """The different lists of names that clips' captions have; few. A clip without captions has an empty one."""
    kind: NDArray[np.unsignedinteger]
    """Of each clip, the place of its captions' names in ``kinds``: (N,)."""
    starts: NDArray[np.unsignedinteger]
    """Where each clip's captions begin, and where the last one's end: (N + 1,)."""
    ids: Ids
    """Of each caption (``caption_id``), as a number: (M, 2)."""

    def rows(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The place of each clip; -1 where there is no such clip."""
        return self.clips.find(ids_of(keys))

    def names(self, row: int) -> tuple[str, ...]:
        """The names of the captions of the clip at a place, in the order of the manifest."""
        return self.kinds[self.kind[row]]

    def captions(self, row: int) -> tuple[str, ...]:
        """The ids of the captions of the clip at a place: keys of the samples in the tars."""
        own = self.ids[self.starts[row] : self.starts[row + 1]]
        return tuple(text_of(*halves) for halves in own.tolist())


def write_captions(directory: Path, clips: Iterable[tuple[str, Sequence[Caption]]], max_tokens: int) -> None:
    """Write names and ids of the captions of each clip, atomically.

    Args:
        clips: (key, captions).
        max_tokens: as in ``CaptionTable``.
    """
    rows = (
        (key, [caption.name for caption in captions], [caption_id(caption.text) for caption in captions])
        for key, captions in clips
    )
    schema = _CAPTIONS_SCHEMA.with_metadata({"form": str(TEXT_FORM), "max_tokens": str(max_tokens)})
    with parquet_writer(directory / CAPTIONS_TABLE, schema, keep_equal=True, compression="zstd") as writer:
        while group := list(islice(rows, _CLIPS_PER_GROUP)):
            writer.write_table(pa.table(list(zip(*group, strict=True)), schema=schema))


def read_captions(directory: Path) -> CaptionTable:
    """Read what ``write_captions`` wrote.

    Raises StorageError (missing) or CorruptArtifactError (damaged, or of an older version).
    """
    table = directory / CAPTIONS_TABLE
    if not table.is_file():
        raise StorageError(f"{table}: no such file; run encode-text first")
    check_parquet(table)
    try:
        with pq.ParquetFile(table) as file:
            about = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
            if about.get("form") != str(TEXT_FORM):
                raise CorruptArtifactError(f"{table}: stored by another version; run encode-text again")
            kinds: dict[tuple[str, ...], int] = {}
            parts = [_captions_of(batch, kinds) for batch in file.iter_batches(1 << 17, columns=_CAPTIONS_SCHEMA.names)]
            return _caption_table(int(about["max_tokens"]), kinds, parts)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error


_Part = tuple[Ids, NDArray[np.int64], NDArray[np.int64], Ids]
"""Of some clips: their ids, the places of their kinds, how many captions each has, and these captions' ids."""


def _captions_of(batch: pa.RecordBatch, kinds: dict[tuple[str, ...], int]) -> _Part:
    """The rows of a batch. Kinds that are new are added to ``kinds``. Raises ValueError."""
    keys, names, captions = batch.columns
    counts = numbers_in(pc.list_value_length(names), np.int32).astype(np.int64)
    if not np.array_equal(counts, numbers_in(pc.list_value_length(captions), np.int32)):
        raise ValueError("a clip has another number of names than of captions")
    ids, odd = ids_of_column(captions.flatten())
    if odd:
        raise ValueError(f"'{min(odd.values())}' is not an id of a caption")
    coded = names.flatten().dictionary_encode()
    texts, codes = coded.dictionary.to_pylist(), numbers_in(coded.indices, np.int32).astype(np.int64)
    starts = np.cumsum(counts) - counts
    kind = np.empty(len(counts), np.int64)
    for count in np.unique(counts).tolist():
        own = np.flatnonzero(counts == count)
        lists = codes[starts[own, None] + np.arange(count)]  # (n, count)
        different, which = np.unique(lists, axis=0, return_inverse=True) if count != 1 else _of_one(lists)
        places = [kinds.setdefault(tuple(texts[code] for code in row), len(kinds)) for row in different.tolist()]
        kind[own] = np.array(places)[which.reshape(-1)]
    return ids_of_column(keys)[0], kind, counts, ids


def _of_one(lists: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As ``np.unique`` of rows of one number, a hundred times faster."""
    different, which = np.unique(lists[:, 0], return_inverse=True)
    return different[:, None], which


def _caption_table(max_tokens: int, kinds: dict[tuple[str, ...], int], parts: Sequence[_Part]) -> CaptionTable:
    """All clips, in the order of their ids."""
    ids_of_none = np.empty((0, 2), np.uint64)
    clips = np.concatenate([ids_of_none, *(part[0] for part in parts)])
    kind, counts = (np.concatenate([np.empty(0, np.int64), *(part[i] for part in parts)]) for i in (1, 2))
    captions = np.concatenate([ids_of_none, *(part[3] for part in parts)])
    order = sorted_order(clips)
    before = np.cumsum(counts) - counts
    sorted_counts = counts[order]
    after = np.concatenate([[0], np.cumsum(sorted_counts)])
    gathered = np.repeat(before[order] - after[:-1], sorted_counts) + np.arange(len(captions))
    upper, lower = clips[order].T
    return CaptionTable(
        max_tokens,
        KeyIndex(np.ascontiguousarray(upper), np.ascontiguousarray(lower)),
        tuple(kinds),
        kind[order].astype(np.min_scalar_type(len(kinds))),
        after.astype(np.min_scalar_type(len(captions))),
        captions[gathered],
    )


def write_labels(directory: Path, labels: Iterable[tuple[str, int | None]]) -> int:
    """Write (key, label) pairs atomically, except those without a label. Returns how many were written."""
    there, count = (pair for pair in labels if pair[1] is not None), 0
    with parquet_writer(directory / LABELS_TABLE, _LABELS_SCHEMA) as writer:
        while group := list(islice(there, _LABELS_PER_GROUP)):
            keys, numbers = zip(*group, strict=True)
            writer.write_table(pa.table([keys, numbers], schema=_LABELS_SCHEMA), row_group_size=_LABELS_PER_GROUP)
            count += len(group)
        if not count:
            # an empty row group, as pyarrow writes a table without rows
            writer.write_table(_LABELS_SCHEMA.empty_table())
    return count


def read_labels(directory: Path) -> dict[str, int]:
    """Label by key. Raises StorageError (missing) or CorruptArtifactError (damaged)."""
    columns = _read_labels(directory).to_pydict()
    return dict(zip(columns["key"], columns["label"], strict=True))


class Labels:
    """The class of each clip that has one, 24 bytes each. Raises as ``read_labels``."""

    def __init__(self, directory: Path) -> None:
        table = _read_labels(directory)
        parts = [ids_of_column(chunk)[0] for chunk in table["key"].chunks]
        ids = np.concatenate([np.empty((0, 2), np.uint64), *parts])
        order = sorted_order(ids)
        upper, lower = ids[order].T
        self._clips = KeyIndex(np.ascontiguousarray(upper), np.ascontiguousarray(lower))
        numbers = [numbers_in(chunk, np.int64) for chunk in table["label"].chunks]
        self._labels = np.concatenate([np.empty(0, np.int64), *numbers])[order]

    def __len__(self) -> int:
        return len(self._labels)

    def highest(self) -> int:
        """The highest class; there is one."""
        return int(self._labels.max())

    def of(self, keys: Sequence[str], otherwise: int) -> NDArray[np.int64]:
        """The class of each clip; ``otherwise`` where it has none: (N,)."""
        places = self._clips.find(ids_of(keys))
        if not len(self):
            return np.full(len(keys), otherwise, np.int64)
        return np.where(places < 0, otherwise, self._labels[places])


def _read_labels(directory: Path) -> pa.Table:
    table = directory / LABELS_TABLE
    if not table.is_file():
        raise StorageError(f"{table}: no such file")
    check_parquet(table)
    try:
        with pq.ParquetFile(table) as file:
            return file.read(_LABELS_SCHEMA.names)
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error


def write_members(directory: Path, members: Iterable[tuple[str, str]]) -> None:
    """Write (key, member) of each clip, atomically."""
    rows = iter(members)
    with parquet_writer(directory / MEMBERS_TABLE, MEMBERS_SCHEMA, keep_equal=True, compression="zstd") as writer:
        while group := list(islice(rows, _CLIPS_PER_GROUP)):
            writer.write_table(pa.table(list(zip(*group, strict=True)), schema=MEMBERS_SCHEMA))
