"""Existing tars of samples: pictures are inputs, with captions and labels beside them under the same key.

Only headers and captions are read here; pictures are read in place, never unpacked under their own names. A key is the
member's name without its last extension, so that ``my.video.v1.mp4`` and ``my.video.v2.mp4`` are two samples.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry, Refusal, leaves_folder
from walt.ingest.sources.kinds import WebDatasetTars
from walt.ingest.sources.locations import member_location
from walt.media.kinds import is_media

_LONGEST_TEXT = 1 << 20
_BLOCK = 512
_PICKLES = frozenset({".pkl", ".pickle", ".pyd", ".pth", ".pt", ".ckpt", ".joblib", ".npy", ".npz"})
"""Extensions of members that common readers execute or may execute as code. They are refused without being read."""

Place = tuple[int, int]
"""Offset and size of a member's bytes."""


def entries(source: WebDatasetTars, dataset: Dataset) -> Iterator[Entry]:
    """List the pictures and videos of all tars as ``TAR::MEMBER``.

    Refusals: ``outside`` (a name with ``..``, or absolute), ``special`` (a link, a device, a sparse file), ``pickle``,
    ``duplicate_member``, ``no_media`` (a caption without a picture), ``bad_label``, those of ``Rules.item``, and
    ``truncated`` (a whole tar, where ``source.damaged`` is ``refuse``).

    Raises:
        ConfigurationError: no tar matches, or ``source.caption`` is not a kind of caption.
        CorruptArtifactError: a tar is cut short or not a tar, where ``source.damaged`` is ``stop``.
    """
    extension, _, key = source.caption.partition(":")
    if extension not in ("txt", "json") or (extension == "json") != bool(key):
        raise ConfigurationError(f"source.caption: 'txt', or 'json:' and a key, not '{source.caption}'")
    for pattern in source.tars:
        tars = dataset.folder.matching(pattern)
        if not tars:
            raise ConfigurationError(f"{dataset.folder.location(pattern)}: no such file (source.tars)")
        for tar in tars:
            try:
                found = list(_tar_entries(tar, dataset, extension, key))
            except CorruptArtifactError as error:
                if source.damaged == "stop":
                    raise
                found = [Refusal(tar, "truncated", str(error))]
            yield from found


def _tar_entries(tar: str, dataset: Dataset, extension: str, key: str) -> Iterator[Entry]:
    where = dataset.folder.location(tar)
    with dataset.folder.open(tar) as stream:
        places: dict[str, Place] = {}
        for name, refusal, place in _members(where, stream):
            if refusal or name in places:
                code, cause = refusal or ("duplicate_member", "the tar has this name twice")
                yield Refusal(f"{tar}::{name}", code, cause)
            elif place:
                places[name] = place
        captioned: set[str] = set()
        for name, (offset, size) in places.items():
            if not is_media(name):
                continue
            stem = name.rpartition(".")[0]  # not normalised: tars of a whole folder have names like ``./a.mp4``
            captioned.add(stem)
            caption = _caption(stream, places.get(f"{stem}.{extension}"), key)
            label = _label(stream, places.get(f"{stem}.cls"))
            source = f"{tar}::{name}"
            if label == _BAD_LABEL:
                yield Refusal(source, "bad_label", f"{stem}.cls does not hold a class number")
            elif label is not None and dataset.classes is not None and label >= len(dataset.classes):
                yield Refusal(source, "bad_label", f"class {label}, but there are {len(dataset.classes)} classes")
            else:
                yield dataset.rules.item(source, member_location(where, offset, size), caption, label=label)
        for name in places:
            stem, dot, suffix = name.rpartition(".")
            if dot and suffix == extension and stem not in captioned:
                yield Refusal(f"{tar}::{name}", "no_media", "a caption, but no picture with its key")


# ------------------------------------------------------------------------------------------------------------- headers


def _members(where: str, stream: IO[bytes]) -> Iterator[tuple[str, tuple[str, str] | None, Place | None]]:
    """(name, refusal, place) of each member except folders. Raises CorruptArtifactError for a tar that is cut short.

    ``tarfile`` takes a cut between two members, or a damaged header, for the end, so the bytes there are checked.
    """
    end = 0
    size = stream.seek(0, 2)
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                end = member.offset_data + (-(-member.size // _BLOCK) * _BLOCK if member.isreg() else 0)
                if end > size:
                    raise CorruptArtifactError(f"{where}: cut short in member {member.name!r}")
                if not member.isdir():
                    yield member.name, _refusal(member), (member.offset_data, member.size)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise CorruptArtifactError(f"{where}: not a whole tar: {str(error).splitlines()[0]}") from None
    stream.seek(end)
    if stream.read(_BLOCK) != bytes(_BLOCK):
        raise CorruptArtifactError(f"{where}: cut short, or damaged, after byte {end}: a tar ends in zeros")


def _refusal(member: tarfile.TarInfo) -> tuple[str, str] | None:
    if leaves_folder(member.name) or "\0" in member.name:
        return "outside", "the member's name leaves the tar's folder"
    if not member.isreg() or member.issparse():
        return "special", "the member is a link, a device or a sparse file"
    if PurePosixPath(member.name).suffix.lower() in _PICKLES:
        return "pickle", "members of this kind can hold code; it was not read"
    return None


# ---------------------------------------------------------------------------------------------------- captions, labels

_BAD_LABEL = -1


def _read(stream: IO[bytes], place: Place) -> bytes | None:
    """A small member's bytes; None if it is too large to be text."""
    offset, size = place
    if size > _LONGEST_TEXT:
        return None
    stream.seek(offset)
    return stream.read(size)


def _caption(stream: IO[bytes], place: Place | None, key: str) -> str:
    """A caption as ``Rules.item`` expects it: empty if there is none, and with a NUL if it is not valid."""
    if place is None:
        return ""
    data = _read(stream, place)
    if data is None:
        return "\0"
    if not key:
        return data.decode("utf-8", "surrogateescape")
    try:
        found = json.loads(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return "\0"
    caption = found.get(key) if isinstance(found, dict) else None
    return caption if isinstance(caption, str) else "" if caption is None else "\0"


def _label(stream: IO[bytes], place: Place | None) -> int | None:
    if place is None:
        return None
    text = (_read(stream, place) or b"").decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else _BAD_LABEL
