"""Keys of clips and ids of captions without a Python object each: 16 bytes, sorted, and found many at a time.

A key as ingest makes it is 32 hexadecimal digits: it is held as that number. For any other key, such as ``null``, a
``KeyIndex`` has a 128-bit hash, and who uses it knows the key itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]
"""(N, 2): the upper and the lower half of the number that stands for a key."""

_HEX = re.compile(r"[0-9a-f]{32}")
_DIGITS = 32
_LOWER_HALF = (1 << 64) - 1
_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16, dtype=np.uint8)


def is_plain(key: str) -> bool:
    """Whether a key is 32 hexadecimal digits, so that its id says what it is."""
    return _HEX.fullmatch(key) is not None


def ids_of(keys: Iterable[str]) -> Ids:
    """The id of each key."""
    keys = list(keys)
    joined = "".join(keys)
    if len(joined) == _DIGITS * len(keys) and all(len(key) == _DIGITS for key in keys):
        with suppress(ValueError):
            packed = bytes.fromhex(joined)
            if packed.hex() == joined:  # all are plain
                return np.frombuffer(packed, ">u8").astype(np.uint64).reshape(-1, 2)
    numbers = [
        int(key, 16) if _HEX.fullmatch(key) else int.from_bytes(hashlib.blake2b(key.encode(), digest_size=16).digest())
        for key in keys
    ]
    halves = [half for number in numbers for half in (number >> 64, number & _LOWER_HALF)]
    return np.array(halves, np.uint64).reshape(-1, 2)


def ids_of_column(column: Any) -> tuple[Ids, dict[int, str]]:
    """The ids of a column of keys, a ``pyarrow.StringArray`` without nulls, and at each place with a key that is not
    plain, that key."""
    data, starts = _buffers(column)
    lengths = np.diff(starts)
    plain = lengths == _DIGITS
    text = data if plain.all() else data[np.repeat(plain, lengths)]
    nibbles = _NIBBLES[text.reshape(-1, _DIGITS)]
    digits = (nibbles != 255).all(axis=1)
    plain[plain] = digits
    nibbles = nibbles[digits]
    packed = (nibbles[:, 0::2] << 4) | nibbles[:, 1::2]  # (N, 16)
    ids = np.empty((len(plain), 2), np.uint64)
    ids[plain] = np.ascontiguousarray(packed).view(">u8")
    odd = {int(place): str(column[int(place)].as_py()) for place in np.flatnonzero(~plain)}
    if odd:
        ids[list(odd)] = ids_of(odd.values())
    return ids, odd


def _buffers(column: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of all texts one after another, and where each begins and the last ends."""
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, np.int32, len(column) + 1, column.offset * 4).astype(np.int64)
    text = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return text[starts[0] : starts[-1]], starts - starts[0]


def numbers_in(column: Any, kind: type[np.generic]) -> NDArray[Any]:
    """The values of a ``pyarrow.Array`` of numbers of this kind without nulls, where they lie.

    Its ``to_numpy`` loads pandas, where that is installed: 0.3 s. Raises ValueError where they are of another kind.
    """
    if str(column.type) != np.dtype(kind).name:
        raise ValueError(f"{column.type}, expected {kind}")
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * np.dtype(kind).itemsize)


def text_of(upper: int, lower: int) -> str:
    """The plain key that an id stands for."""
    return f"{upper:016x}{lower:016x}"


class KeyIndex:
    """Where each of N ids is in some order: found for many at a time, without an object for each.

    Args:
        upper, lower: (N,) halves of the ids, sorted; an id may be there several times. They may lie in a file.
    """

    def __init__(self, upper: NDArray[np.uint64], lower: NDArray[np.uint64]) -> None:
        self.upper, self.lower = upper, lower

    def __len__(self) -> int:
        return len(self.upper)

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """The first place of each id; -1 where it is not there."""
        if not len(self.upper):
            return np.full(len(ids), -1, np.int64)
        upper, lower = ids[:, 0], ids[:, 1]
        places = np.searchsorted(self.upper, upper)
        there = np.minimum(places, len(self.upper) - 1)
        same = self.upper[there] == upper
        found = np.where(same & (self.lower[there] == lower), there, -1)
        for row in np.flatnonzero(same & (found < 0)):  # several ids with this upper half: all but none
            end = np.searchsorted(self.upper, upper[row], side="right")
            equal = np.flatnonzero(self.lower[places[row] : end] == lower[row])
            found[row] = places[row] + equal[0] if len(equal) else -1
        return found


def sorted_order(ids: Ids) -> NDArray[np.int64]:
    """The places of ids in ascending order; equal ones in the order in which they are given."""
    upper = ids[:, 0]
    if (upper[1:] > upper[:-1]).all():
        return np.arange(len(ids))
    order = np.argsort(upper)
    ordered = upper[order]
    return np.lexsort((ids[:, 1], upper)) if (ordered[1:] == ordered[:-1]).any() else order


class FrozenKeys(Sequence[str]):
    """Sorted, unique keys: 16 bytes each where all are plain. Equal to any sequence of the same texts.

    Raises ValueError where a key is repeated.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        every = sorted(keys)
        if all(map(is_plain, every)):
            self._set(ids_of(every), None)
        else:
            self._set(ids_of(every), tuple(every))

    @classmethod
    def of_ids(cls, ids: Ids) -> Self:
        """The plain keys that ids stand for."""
        self = cls.__new__(cls)
        self._set(ids[sorted_order(ids)], None)
        return self

    def _set(self, ids: Ids, texts: tuple[str, ...] | None) -> None:
        self._texts = texts
        ordered = ids if texts is None else ids[sorted_order(ids)]
        self._index = KeyIndex(np.ascontiguousarray(ordered[:, 0]), np.ascontiguousarray(ordered[:, 1]))
        if (ordered[1:] == ordered[:-1]).all(axis=1).any():
            raise ValueError("a key is repeated")

    def ids(self) -> Ids:
        """Of all keys, sorted by id: in the order of the keys where they are plain."""
        return np.stack([self._index.upper, self._index.lower], axis=1)

    def ids_in_order(self) -> Ids:
        """Of all keys, in their order."""
        return self.ids() if self._texts is None else ids_of(self._texts)

    def where(self, chosen: NDArray[np.bool_]) -> FrozenKeys:
        """Those of the keys at whose place this is true: (N,)."""
        if self._texts is not None:
            return FrozenKeys(self.at(np.flatnonzero(chosen)))
        return FrozenKeys.of_ids(self.ids()[chosen])

    def contains(self, ids: Ids) -> NDArray[np.bool_]:
        """Whether the key is among these, for each of these ids."""
        return self._index.find(ids) >= 0

    def key_of(self, ids: Ids) -> str:
        """The first key that has one of these ids."""
        return next(key for key, own in zip(self, ids_of(self), strict=True) if (own == ids).all(axis=1).any())

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if self._texts is not None:
            return self._texts[place]
        upper, lower = self._index.upper[place], self._index.lower[place]
        if isinstance(place, slice):
            return tuple(map(text_of, upper.tolist(), lower.tolist()))
        return text_of(int(upper), int(lower))

    def at(self, places: NDArray[np.integer]) -> tuple[str, ...]:
        """The keys at these places."""
        if self._texts is not None:
            return tuple(self._texts[place] for place in places.tolist())
        return tuple(map(text_of, self._index.upper[places].tolist(), self._index.lower[places].tolist()))

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 4096):
            yield from self[start : start + 4096]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.contains(ids_of([key]))[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    def __hash__(self) -> int:
        return hash(self[:16])
