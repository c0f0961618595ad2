"""The members of a tar by its headers: what is hostile is refused unread, and no tar is read as a shorter one."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from walt.core.errors import CorruptArtifactError
from walt.core.pointers import pointer_at
from walt.ingest.sources.items import leaves_folder

_BLOCK = 512
_APPLE_DOUBLE = "._"
"""Beginning of the names of files in which macOS keeps what belongs to other files, also in the tars that it writes."""
PICKLE = "pickle"
"""The code of a member that is refused beside its sample, whose video or image is an input of its own."""
_PICKLES = frozenset({".pkl", ".pickle", ".pyd", ".pth", ".pt", ".ckpt", ".joblib", ".npy", ".npz"})
"""Extensions of members that common readers execute or may execute as code. They are refused without being read."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd", b"PK": "a zip"}


class Place(NamedTuple):
    """Where a member's bytes are in the tar."""

    offset: int
    size: int


def members(where: str, stream: IO[bytes]) -> Iterator[tuple[str, tuple[str, str] | None, Place]]:
    """(name, refusal's code and cause, place) of each member, except folders and what macOS keeps beside files.

    Several tars one after the other, as ``cat`` makes them, are read as one.

    Raises:
        CorruptArtifactError: the tar is cut short, is compressed, or is followed by something that is not a tar.
            ``tarfile`` takes a cut between two members, or a damaged header, for the end, so the bytes there are
            checked.
    """
    size = stream.seek(0, 2)
    begin: int | None = 0
    while begin is not None:
        end = begin
        stream.seek(begin)
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    before, end = end, archive.offset  # a sparse member's size is not that of its bytes
                    if member.size < 0 or end <= before:
                        raise CorruptArtifactError(f"{where}: not a whole tar: the size of {member.name!r} is wrong")
                    if end > size:
                        raise CorruptArtifactError(f"{where}: cut short in member {member.name!r}")
                    if not member.isdir() and not member.name.rpartition("/")[2].startswith(_APPLE_DOUBLE):
                        yield member.name, _refusal(member), Place(member.offset_data, member.size)
        except (tarfile.TarError, EOFError, ValueError, OverflowError, LookupError, RecursionError) as error:
            raise CorruptArtifactError(f"{where}: {_why(stream, begin, error)}") from None
        stream.seek(end)
        if stream.read(_BLOCK) != bytes(_BLOCK):
            raise CorruptArtifactError(f"{where}: cut short, or damaged, after byte {end}: a tar ends in zeros")
        begin = _next_archive(stream, end + _BLOCK)


def _next_archive(stream: IO[bytes], start: int) -> int | None:
    """Where the next archive begins, after the zeros at the end of one; None: nothing follows."""
    stream.seek(start)
    while block := stream.read(_BLOCK):
        if block.strip(b"\0"):
            return start
        start += len(block)
    return None


def _why(stream: IO[bytes], begin: int, error: Exception) -> str:
    """Why bytes are not a tar."""
    stream.seek(begin)
    packed = _COMPRESSED.get(stream.read(2))
    stream.seek(begin)
    if pointer := pointer_at(stream):
        return pointer
    if begin:
        return f"something that is not a tar follows its end, at byte {begin}"
    if packed:
        return f"not a tar but {packed}: unpack it, since members are read where they are"
    return f"not a whole tar: {(str(error) or type(error).__name__).splitlines()[0]}"


def _refusal(member: tarfile.TarInfo) -> tuple[str, str] | None:
    if leaves_folder(member.name) or "\0" in member.name:
        return "outside", "the member's name leaves the tar's folder"
    if not member.isreg() or member.issparse():
        return "special", "the member is a link, a device or a sparse file"
    if PurePosixPath(member.name).suffix.lower() in _PICKLES:
        return PICKLE, "members of this kind can hold code; it was not read"
    return None
