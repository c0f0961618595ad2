"""One source file to stored clips, and the cache of such results. Worker processes import this module: no torch here.

A result depends on the file's bytes and the clip rule alone, so it is cached under both: a rerun decodes only what is
new. The cache is a convenience; it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from walt.core import decoding, images, mp4, video
from walt.core.errors import CorruptArtifactError
from walt.core.images import Limits, Size, SourceError, crop_and_resize, png_bytes, read_picture
from walt.core.storage import TEMPORARY_SUFFIX, sha256_file, sha256_json
from walt.data.config import IngestConfig
from walt.data.sources.items import Kind

_CODE = (video.__file__, decoding.__file__, mp4.__file__, images.__file__, __file__)
"""What decides, besides the rule, how a file becomes clips: edited code makes old results stale."""


@dataclass(frozen=True)
class ClipRule:
    """Everything but the source's bytes that determines its clips."""

    num_frames: int
    fps: float
    sizes: tuple[Size, ...]
    max_clips: int
    crf: int
    limits: Limits
    stills: bool
    """Whether images, and videos of exactly one frame, become clips of one frame."""

    @classmethod
    def from_config(cls, config: IngestConfig, stills: bool) -> ClipRule:
        """The rule that the ``ingest`` section and the descriptor's ``images`` state."""
        limits = Limits(config.min_side, config.max_pixels, config.max_seconds)
        sizes = tuple(sorted(config.sizes))
        return cls(config.num_frames, config.fps, sizes, config.max_clips_per_video, config.crf, limits, stills)

    @cached_property
    def identity(self) -> str:
        """Hex digest; it changes with the code and with the codecs' versions too."""
        code = [sha256_file(file) for file in _CODE]
        return sha256_json({"code": code, "libraries": decoding.LIBRARY_VERSIONS, **asdict(self)})

    def key(self, source_sha256: str, start_seconds: float) -> str:
        """A clip's name: 32 hex digits from the source's bytes, the span and the clip rule."""
        return sha256_json([source_sha256, start_seconds, self.num_frames, self.fps])[:32]


@dataclass(frozen=True)
class SourceFile:
    """A file to cut. Its name is kept as bytes, which survive any process boundary."""

    path: bytes
    sha256: str
    kind: Kind


@dataclass(frozen=True)
class Member:
    """One picture file of a clip: ``mp4`` or ``png`` in one size."""

    size: Size
    extension: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class ClipEntry:
    """What is known of a clip without its pictures' bytes."""

    key: str
    kind: Kind
    start_seconds: float
    num_frames: int
    members: tuple[Member, ...]
    """One for each size, the smallest first."""


@dataclass(frozen=True)
class SourceEntry:
    """The clips of a source, or why it has none."""

    sha256: str
    clips: tuple[ClipEntry, ...]
    code: str | None = None
    cause: str = ""


def cut_source(rule: ClipRule, source: SourceFile) -> tuple[SourceEntry, bytes]:
    """Decode a source and encode its clips in all sizes. Runs in a worker process.

    Returns:
        The entry, and the bytes of all members, one after the other in the entry's order.
    """
    path = Path(os.fsdecode(source.path))
    try:
        clips = _read(rule, path, source.kind)
        if sha256_file(path) != source.sha256:
            raise SourceError("changed", "its bytes changed while it was read")
    except SourceError as error:
        return SourceEntry(source.sha256, (), error.code, error.cause), b""
    except OSError as error:
        return SourceEntry(source.sha256, (), "unreadable", str(error.strerror)), b""
    entries, blobs = [], []
    for clip in clips:
        members = []
        for size, frames in clip.frames.items():
            if len(frames) == 1:
                extension, data = "png", png_bytes(frames[0])
            else:
                extension, data = "mp4", mp4.encode_clip(frames, rule.fps, rule.crf)
            members.append(Member(size, extension, len(data), hashlib.sha256(data).hexdigest()))
            blobs.append(data)
        num_frames = len(frames)
        kind: Kind = "image" if num_frames == 1 else "video"
        key = rule.key(source.sha256, clip.start_seconds)
        entries.append(ClipEntry(key, kind, clip.start_seconds, num_frames, tuple(members)))
    return SourceEntry(source.sha256, tuple(entries)), b"".join(blobs)


def _read(rule: ClipRule, path: Path, kind: Kind) -> list[video.SourceClip]:
    if kind == "image":
        pictures = crop_and_resize(read_picture(path, rule.limits), rule.sizes)
        return [video.SourceClip(0.0, {size: picture[None] for size, picture in pictures.items()})]
    return video.read_clips(
        path, num_frames=rule.num_frames, fps=rule.fps, sizes=rule.sizes, max_clips=rule.max_clips, limits=rule.limits,
        accept_still=rule.stills,
    )  # fmt: skip


def hash_files(paths: list[bytes]) -> list[tuple[str | None, str]]:
    """(sha256, "") for each file, or (None, why not). Runs in a worker process."""
    results: list[tuple[str | None, str]] = []
    for path in paths:
        try:
            results.append((sha256_file(os.fsdecode(path)), ""))
        except OSError as error:
            results.append((None, str(error.strerror)))
    return results


TRANSIENT = frozenset({"changed", "unreadable"})
"""Refusals that say nothing about the bytes: they are not cached."""


class ClipCache:
    """Entries and bytes of sources under one rule: a file each, a line of digest, a line of JSON, then the bytes."""

    def __init__(self, folder: Path, rule: ClipRule) -> None:
        self.folder = folder / rule.identity[:16]

    def _path(self, sha256: str, kind: Kind) -> Path:
        return self.folder / sha256[:2] / f"{sha256}.{kind}"

    def put(self, source: SourceFile, entry: SourceEntry, data: bytes) -> None:
        """Store a result. Not fsynced, one file among millions: digests tell a torn one."""
        header = json.dumps(asdict(entry)).encode()
        path = self._path(source.sha256, source.kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        temporary.write_bytes(hashlib.sha256(header).hexdigest().encode() + b"\n" + header + b"\n" + data)
        temporary.replace(path)

    def get(self, source: SourceFile) -> SourceEntry | None:
        """The stored entry; None where there is none, or a torn one."""
        path = self._path(source.sha256, source.kind)
        if not path.is_file():
            return None
        with open(path, "rb") as stream:
            digest, header = stream.readline().rstrip(), stream.readline().rstrip(b"\n")
            if digest.decode("ascii", "replace") != hashlib.sha256(header).hexdigest():
                return None
            entry = _entry(json.loads(header))
            expected = stream.tell() + sum(member.num_bytes for clip in entry.clips for member in clip.members)
        return entry if path.stat().st_size == expected else None

    def read(self, source: SourceFile, entry: SourceEntry, key: str, size: Size) -> bytes:
        """One member's bytes.

        Raises:
            CorruptArtifactError: they differ from their digest; the entry is removed, so that a rerun makes it again.
        """
        path = self._path(source.sha256, source.kind)
        with open(path, "rb") as stream:
            stream.readline()
            stream.readline()
            offset = stream.tell()
            for clip in entry.clips:
                for member in clip.members:
                    if (clip.key, member.size) == (key, size):
                        stream.seek(offset)
                        data = stream.read(member.num_bytes)
                        if hashlib.sha256(data).hexdigest() != member.sha256:
                            path.unlink()
                            raise CorruptArtifactError(f"{path}: damaged, and removed; run again")
                        return data
                    offset += member.num_bytes
        raise KeyError(f"{key} in {size}")

    def prune(self, keep: set[tuple[str, Kind]]) -> None:
        """Remove the entries of sources that are gone, of other rules, and what killed runs left."""
        for other in self.folder.parent.iterdir() if self.folder.parent.is_dir() else ():
            if other != self.folder:
                shutil.rmtree(other)
        for part in self.folder.iterdir() if self.folder.is_dir() else ():  # the names of one are in memory at a time
            for path in part.iterdir():
                sha256, _, kind = path.name.partition(".")
                if (sha256, kind) not in keep:
                    path.unlink()
            if not any(part.iterdir()):
                part.rmdir()


def _entry(data: dict[str, Any]) -> SourceEntry:
    clips = tuple(
        ClipEntry(**clip | {"members": tuple(Member(**m | {"size": tuple(m["size"])}) for m in clip["members"])})
        for clip in data["clips"]
    )
    return SourceEntry(**data | {"clips": clips})
