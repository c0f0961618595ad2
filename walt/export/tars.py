"""Tars of samples whose bytes depend on the samples alone."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from typing import IO

_MODE = 0o444


def write(stream: IO[bytes], samples: Iterable[tuple[str, Iterable[tuple[str, bytes]]]]) -> int:
    """Write samples, (key, (extension, bytes) of each member), in their order. Returns how many there were."""
    count = 0
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for key, members in samples:
            for extension, data in members:
                member = tarfile.TarInfo(f"{key}.{extension}")  # owned by nobody, of 1970
                member.size, member.mode = len(data), _MODE
                archive.addfile(member, io.BytesIO(data))
            count += 1
    return count
