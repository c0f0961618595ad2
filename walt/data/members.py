"""``members.parquet``, beside the text: which member of a union each clip is of (docs/decisions/0011).

It is there only where the dataset is a union. Training reads it where it draws members by weight; it is written in
``walt.data.text_tables``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from walt.core.errors import CorruptArtifactError
from walt.core.own_digest import check_parquet
from walt.data.key_index import FrozenKeys, KeyIndex, ids_of_column, numbers_in, sorted_order
from walt.data.text_tables import MEMBER, MEMBERS_SCHEMA, MEMBERS_TABLE

_CLIPS_AT_ONCE = 1 << 17


class Members:
    """The member of each of N clips, 18 bytes each. Raises CorruptArtifactError: the table is damaged.

    Args:
        directory: ``data/text``. Where it has no such table, there are no members.
    """

    def __init__(self, directory: Path) -> None:
        ids, codes, self.names = _read(directory / MEMBERS_TABLE)
        order = sorted_order(ids)
        upper, lower = ids[order].T
        self._clips = KeyIndex(np.ascontiguousarray(upper), np.ascontiguousarray(lower))
        self._members = codes[order]

    def split(self, keys: FrozenKeys) -> dict[str, FrozenKeys]:
        """Those of the keys that are of each member. Raises KeyError: a clip is of none."""
        places = self._clips.find(keys.ids_in_order())
        if (places < 0).any():
            raise KeyError(f"{MEMBERS_TABLE}: the clip '{keys[int(np.argmin(places))]}' is of no member")
        own = self._members[places]
        return {name: keys.where(own == number) for number, name in enumerate(self.names)}


def _read(table: Path) -> tuple[NDArray[np.uint64], NDArray[np.uint16], tuple[str, ...]]:
    """Ids, the place of each one's member among the names, and the names, sorted."""
    ids, codes = [np.empty((0, 2), np.uint64)], [np.empty(0, np.uint16)]
    if not table.is_file():
        return ids[0], codes[0], ()
    check_parquet(table)
    known: dict[str, int] = {}
    try:
        with pq.ParquetFile(table, read_dictionary=[MEMBER]) as file:
            for batch in file.iter_batches(_CLIPS_AT_ONCE, columns=MEMBERS_SCHEMA.names):
                column = batch.column(MEMBER)
                numbers = [known.setdefault(name, len(known)) for name in column.dictionary.to_pylist()]
                codes.append(np.array(numbers, np.uint16)[numbers_in(column.indices, np.int32)])
                ids.append(ids_of_column(batch.column("key"))[0])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
    names = sorted(known)
    places = np.array([names.index(name) for name in known], np.uint16)
    return np.concatenate(ids), places[np.concatenate(codes)], tuple(names)
