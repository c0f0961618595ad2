"""The members of a tar, read from its headers: where their bytes are, and which are refused unread.

A file may hold several archives, one after the other (``cat a.tar b.tar``): common readers stop at the end of the
first, this one reads on. Whatever else is behind an end, the file is refused by name.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from walt.core.errors import CorruptArtifactError
from walt.ingest.sources.items import leaves_folder

BLOCK = 512
_READ = 1 << 20
_PICKLES = frozenset({".pkl", ".pickle", ".pyd", ".pth", ".pt", ".ckpt", ".joblib", ".npy", ".npz"})
"""Extensions of members that common readers execute or may execute as code. They are refused without being read."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Place(NamedTuple):
    """A member's bytes."""

    offset: int
    size: int


class Member(NamedTuple):
    """A member that is not a folder."""

    name: str
    refusal: tuple[str, str] | None
    """Code and cause; its bytes must not be read."""
    place: Place


def members(where: str, stream: IO[bytes]) -> Iterator[Member]:
    """All members except folders, of every archive in the file.

    ``tarfile`` takes a cut between two members, or a damaged header, for the end, so the bytes there are checked.

    Refusals: ``outside`` (a name with ``..``, or absolute), ``special`` (a link, a device, a sparse file), ``pickle``.

    Args:
        where: names the tar in messages.

    Raises:
        CorruptArtifactError: it is not a tar, is compressed, is cut short, or has other bytes behind its end.
    """
    size = stream.seek(0, 2)
    start = 0
    while True:
        end = start
        for member, following in _archive(where, stream, start, size):
            end = following
            if not member.isdir():
                yield Member(member.name, _refusal(member), Place(member.offset_data, member.size))
        stream.seek(end)
        if stream.read(BLOCK) != bytes(BLOCK):
            what = f"cut short, or damaged, after byte {end}: a tar ends in zeros"
            if start and end == start:
                what = f"not a whole tar: its end is at byte {start}, and what is behind it is neither zeros nor a tar"
            raise CorruptArtifactError(f"{where}: {what}")
        again = _next_block(stream, end)
        if again is None:
            return
        start = again


def _archive(where: str, stream: IO[bytes], start: int, size: int) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """The members of the archive that begins at ``start``, each with the position of the next header."""
    stream.seek(start)
    if not start and (packed := _compression(stream)):
        raise CorruptArtifactError(
            f"{where}: not a whole tar: it is compressed ({packed}); decompress it, since members are read in place"
        )
    end = start
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                before, end = end, archive.offset
                if member.size < 0 or end <= before:
                    raise CorruptArtifactError(f"{where}: not a whole tar: the size of {member.name!r} is wrong")
                if end > size:
                    raise CorruptArtifactError(f"{where}: cut short in member {member.name!r}")
                yield member, end
    except (tarfile.TarError, EOFError, ValueError, OverflowError, LookupError, RecursionError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise CorruptArtifactError(f"{where}: not a whole tar: {said}") from None


def _compression(stream: IO[bytes]) -> str | None:
    """What a file is compressed with, by its first bytes; the position stays."""
    begin = stream.read(8)
    stream.seek(0)
    return next((name for magic, name in _COMPRESSED.items() if begin.startswith(magic)), None)


def _next_block(stream: IO[bytes], start: int) -> int | None:
    """Where the first block after ``start`` that is not zero begins; None: zeros up to the end of the file."""
    stream.seek(start)
    position = start
    while data := stream.read(_READ):
        rest = data.lstrip(b"\0")
        if rest:
            first = position + len(data) - len(rest)
            return first - (first - start) % BLOCK
        position += len(data)
    return None


def _refusal(member: tarfile.TarInfo) -> tuple[str, str] | None:
    if leaves_folder(member.name) or "\0" in member.name:
        return "outside", "the member's name leaves the tar's folder"
    if not member.isreg() or member.issparse():
        return "special", "the member is a link, a device or a sparse file"
    if posixpath.splitext(member.name)[1].lower() in _PICKLES:
        return "pickle", "members of this kind can hold code; it was not read"
    return None
