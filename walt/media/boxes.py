"""Walks through the boxes of MP4 and MOV files (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

MOST = 10_000
"""Boxes beside each other that are looked at."""
_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def is_mov(head: bytes) -> bool:
    """Whether a file with these first 12 bytes is an MP4 or MOV."""
    return head[4:8] in _FIRST


def boxes(stream: IO[bytes], begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two positions, as (kind, begin and end of the content). Raises struct.error: one is damaged."""
    for _ in range(MOST):
        if begin + 8 > end:
            return
        stream.seek(begin)
        size, kind, large = struct.unpack(">I4sQ", stream.read(16).ljust(16, b"\0"))
        header = 16 if size == 1 else 8
        size = large if size == 1 else size or end - begin
        if size < header:
            return
        yield kind, begin + header, min(begin + size, end)
        begin += size
