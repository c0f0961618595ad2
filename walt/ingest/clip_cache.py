"""Turns a source file into stored clips, and caches the results. Worker processes import this module: no torch here.

A result depends only on the file's bytes and the clip rule, so it is cached under both: a rerun decodes only what is
new. The cache may be deleted at any time; it only saves work.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from walt.core.errors import CorruptArtifactError, WaltError
from walt.core.sizes import Size
from walt.core.storage import TEMPORARY_SUFFIX
from walt.ingest.clip_rule import ClipRule, CutClip, cut, readers
from walt.ingest.measures import Measures
from walt.ingest.sources.items import Span
from walt.media import mp4
from walt.media.images import SourceError, png_bytes
from walt.media.kinds import Kind
from walt.media.video import Reader, SourceFacts


@dataclass(frozen=True)
class SourceFile:
    """The bytes that clips are cut from, wherever they are stored."""

    sha256: str
    kind: Kind
    span: Span | None = None
    """The time span of the video to cut clips from; None: all of it."""

    @property
    def name(self) -> str:
        """Hash, kind and span: equal names, equal clips."""
        return f"{self.sha256}.{self.kind}" + (f".{self.span[0]!r}-{self.span[1]!r}" if self.span else "")


@dataclass(frozen=True)
class ClipMember:
    """One picture file of a clip: ``mp4`` or ``png`` in one size."""

    size: Size
    extension: str
    offset: int
    """Position of its first byte in the bytes of all members of the source."""
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class ClipEntry:
    """What is known about a clip, except the bytes of its pictures."""

    key: str
    kind: Kind
    start_seconds: float
    num_frames: int
    members: tuple[ClipMember, ...]
    """One for each size, the smallest first."""
    measures: Measures
    stored_measures: Mapping[str, float | None] = field(default_factory=dict)
    """Measures of its stored form, by name: see ``walt.ingest.stored_measures``."""


@dataclass(frozen=True)
class SourceEntry:
    """The clips of a source, or why it has none."""

    sha256: str
    clips: tuple[ClipEntry, ...]
    facts: SourceFacts | None
    """None where the source was refused before its size was known."""
    code: str | None = None
    cause: str = ""

    @property
    def num_pixels(self) -> int:
        """Pixels of one frame; 0 where its size is not known."""
        return self.facts.height * self.facts.width if self.facts else 0


def cut_sources(rule: ClipRule, path: Path, sources: Sequence[SourceFile]) -> Iterator[list[tuple[SourceEntry, bytes]]]:
    """Decode the sources in the file at ``path``, and encode their clips in all sizes. Runs in a worker process.

    Yields:
        For each of the next sources that were decoded together: the entry, and the bytes of all members, joined in the
        entry's order.
    """
    at = 0
    for count, read in readers(rule, path, [source.span for source in sources]):
        yield [_cut_source(rule, path, source, read) for source in sources[at : at + count]]
        at += count


def _cut_source(rule: ClipRule, path: Path, source: SourceFile, read: Reader) -> tuple[SourceEntry, bytes]:
    try:
        facts, clips = cut(rule, path, source.kind, source.span, read)
    except SourceError as error:
        return SourceEntry(source.sha256, (), None, error.code, error.cause), b""
    except OSError as error:
        return SourceEntry(source.sha256, (), None, "unreadable", str(error.strerror)), b""
    except (WaltError, MemoryError):  # the run ends; the pool of workers notes that memory ran out
        raise
    except Exception as error:  # noqa: BLE001 one file of millions must not end the run
        return SourceEntry(source.sha256, (), None, "internal", named(error)), b""
    entries: list[ClipEntry] = []
    blobs: list[bytes] = []
    offset = 0
    for clip in clips:
        entry, data = _encode(rule, source, clip, offset)
        entries.append(entry)
        blobs.append(data)
        offset += len(data)
    return SourceEntry(source.sha256, tuple(entries), facts), b"".join(blobs)


def named(error: Exception) -> str:
    """One line about an unforeseen exception."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _encode(rule: ClipRule, source: SourceFile, clip: CutClip, offset: int) -> tuple[ClipEntry, bytes]:
    """A clip's entry, and the bytes of its members, the first of which begins at ``offset``."""
    members, blobs = [], []
    num_frames = len(clip.measures.brightness)
    for size, frames in clip.frames.items():
        if num_frames == 1:
            extension, data = "png", png_bytes(frames[0])
        else:
            extension, data = "mp4", mp4.encode_clip(frames, rule.fps, rule.crf)
        members.append(ClipMember(size, extension, offset, len(data), hashlib.sha256(data).hexdigest()))
        blobs.append(data)
        offset += len(data)
    kind: Kind = "image" if num_frames == 1 else "video"
    key = rule.key(source.sha256, clip.start_seconds, source.span)
    return ClipEntry(key, kind, clip.start_seconds, num_frames, tuple(members), clip.measures), b"".join(blobs)


MEASURED_SUFFIX = ".measured"
"""Suffix of the file beside a source's clips in which ``walt.ingest.stored_measures`` keeps its numbers."""

TRANSIENT = frozenset({"changed", "internal", "unreadable"})
"""Codes of refusals that say nothing certain about the bytes; they are not cached."""


class ClipCache:
    """Entries and bytes of sources under one rule. One file per source: a line with a digest, a line of JSON, bytes."""

    def __init__(self, folder: Path, rule: ClipRule) -> None:
        self.folder = folder / rule.identity[:16]

    def _path(self, source: SourceFile) -> Path:
        return self.folder / source.sha256[:2] / source.name

    def put(self, source: SourceFile, entry: SourceEntry, data: bytes) -> None:
        """Store a result. It is not fsynced, since there may be millions: the digest reveals an incomplete file."""
        header = json.dumps(asdict(entry)).encode()
        path = self._path(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        temporary.write_bytes(hashlib.sha256(header).hexdigest().encode() + b"\n" + header + b"\n" + data)
        temporary.replace(path)

    def get(self, source: SourceFile) -> SourceEntry | None:
        """The stored entry; None if there is none, or its file is incomplete."""
        path = self._path(source)
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
            CorruptArtifactError: they differ from their digest. The entry is removed, so that a rerun makes it again.
        """
        path = self._path(source)
        with open(path, "rb") as stream:
            stream.readline()
            stream.readline()
            begin = stream.tell()
            member = next(m for clip in entry.clips if clip.key == key for m in clip.members if m.size == size)
            stream.seek(begin + member.offset)
            data = stream.read(member.num_bytes)
        if hashlib.sha256(data).hexdigest() != member.sha256:
            path.unlink()
            raise CorruptArtifactError(f"{path}: damaged, and removed; run again")
        return data

    def prune(self, keep: set[str]) -> None:
        """Remove the entries of sources that ``keep`` does not name, those of other rules, and files of killed runs."""
        for other in self.folder.parent.iterdir() if self.folder.parent.is_dir() else ():
            if other != self.folder:
                shutil.rmtree(other)
        # only the names of one subfolder are in memory at a time
        for subfolder in self.folder.iterdir() if self.folder.is_dir() else ():
            for path in subfolder.iterdir():
                if path.name.removesuffix(MEASURED_SUFFIX) not in keep:
                    path.unlink()
            if not any(subfolder.iterdir()):
                subfolder.rmdir()


def _entry(data: dict[str, Any]) -> SourceEntry:
    facts = SourceFacts(**data["facts"]) if data["facts"] else None
    return SourceEntry(**data | {"clips": tuple(_clip(clip) for clip in data["clips"]), "facts": facts})


def _clip(data: dict[str, Any]) -> ClipEntry:
    members = tuple(ClipMember(**member | {"size": tuple(member["size"])}) for member in data["members"])
    return ClipEntry(**data | {"members": members, "measures": Measures.from_json(data["measures"])})
