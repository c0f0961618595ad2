"""Sources that were taken down, and how they are known when they come back: ``datasets/takedowns``, a file for each.

A record has the SHA-256 of the source's bytes and a fingerprint of its pictures: the perceptual hash and the mean
colour of each frame, at the clips' frame rate. From 64 bits a frame no picture can be made. It holds neither the name
nor a caption of the source.

An input is refused (``taken_down``) if it has the same bytes, or if one of its clips looks like a stretch of the
source, or like its mirror image: there is a moment from which the clip's hashed frames (the first, the middle and the
last) each resemble the source's frame as much later. So a copy that was re-encoded, resized, mirrored or cut is found,
whatever its name. How many are, and how many others: docs/results/takedown.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from walt.core.errors import CorruptArtifactError
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.ingest.clip_cache import ClipEntry, SourceEntry
from walt.media import fingerprints, shots
from walt.media.images import Clip

FOLDER = "datasets/takedowns"
"""Of the records, relative to the project's root. DVC watches it: a new record makes ``ingest`` stale."""
CODE = "taken_down"
"""Of refused inputs."""
BITS = 8
"""Of the 64 bits of a frame's hash, how many may differ on average, unless the record says otherwise."""
COLOUR = 24.0
"""How much the mean colour of each frame may differ, in each channel, from 0 to 255: as above."""
_DIGITS = 16


@dataclass(frozen=True)
class Frame:
    """A frame of a source that was taken down."""

    seconds: float
    """After the source's first frame."""
    hash: str
    """As ``fingerprints.perceptual_hash`` gives it: 16 hex digits."""
    colour: tuple[float, float, float]
    """Mean red, green and blue."""


@dataclass(frozen=True)
class TakedownRecord:
    """One source that was taken down."""

    source_sha256: str
    reason: str
    date: str
    """Year, month and day, as in 2026-11-28."""
    fps: float
    """Of the frames."""
    bits: int | None = BITS
    """Null: only the same bytes are refused."""
    colour: float = COLOUR
    frames: tuple[Frame, ...] = ()
    """By time; none where no clip of it was ever cut."""

    @property
    def name(self) -> str:
        """Of its file, and in messages."""
        return self.source_sha256[:_DIGITS]

    def write(self, root: Path) -> Path:
        """Write the record, atomically; returns its file. Raises StorageError."""
        path = root / FOLDER / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = [[frame.seconds, frame.hash, *frame.colour] for frame in self.frames]
        write_json_with_digest(path, {**vars(self), "frames": frames})
        return path

    @classmethod
    def read(cls, path: Path) -> TakedownRecord:
        """Raises CorruptArtifactError: the file is not a record, or was changed."""
        value, has_digest = read_json_with_digest(path)
        try:
            if not has_digest:
                raise ValueError("it lacks its digest")
            frames = tuple(Frame(seconds, text, tuple(colour)) for seconds, text, *colour in value.pop("frames"))
            return cls(**value, frames=frames)
        except (TypeError, ValueError, KeyError) as error:
            raise CorruptArtifactError(f"{path}: no record of a takedown: {str(error).splitlines()[0]}") from error


def today() -> str:
    """The date of a record that is made now."""
    return date.today().isoformat()


def fingerprint(clips: Iterable[tuple[float, Clip]], fps: float) -> tuple[Frame, ...]:
    """The frames of a source, by time, each moment once.

    Args:
        clips: start in seconds and frames (T, H, W, 3) uint8 RGB of the smallest form of each clip.
        fps: of the clips.
    """
    found: dict[float, Frame] = {}
    for start, frames in clips:
        for number, thumb in enumerate(shots.thumbnails(frames)):
            seconds = round(start + number / fps, 4)
            red, green, blue = (round(float(level), 2) for level in thumb.mean(axis=(0, 1)))
            found[seconds] = Frame(seconds, fingerprints.perceptual_hash(thumb), (red, green, blue))
    return tuple(found[seconds] for seconds in sorted(found))


def forget(cache: Path, digests: Iterable[str]) -> int:
    """Remove what the cache of cut clips has of these sources (SHA-256), under all clip rules; how many files.

    Args:
        cache: ``work/ingest/sources``.
    """
    files = [file for digest in digests for file in cache.glob(f"*/{digest[:2]}/{digest}*")]
    for file in files:
        file.unlink()
    return len(files)


@dataclass(frozen=True)
class _Frames:
    """The frames of all records that look at pictures, one record after another, each by time: N of them."""

    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    colours: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 3), np.float32))
    moments: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Seconds, plus ``_APART`` for each record before: sorted, and no two records are near each other."""
    records: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


_APART = 1e6


class TakenDown:
    """The records of a project, and which inputs they refuse."""

    def __init__(self, records: Sequence[TakedownRecord] = ()) -> None:
        self.records = tuple(records)
        self._by_bytes = {record.source_sha256: record for record in self.records}
        self._looked_at = [record for record in self.records if record.bits is not None and record.frames]
        self._frames = _joined(self._looked_at) if self._looked_at else _Frames()

    @classmethod
    def read(cls, root: Path) -> TakenDown:
        """All records of the project at ``root``. Raises CorruptArtifactError."""
        return cls([TakedownRecord.read(path) for path in sorted((root / FOLDER).glob("*.json"))])

    def __len__(self) -> int:
        return len(self.records)

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of the sources."""
        return tuple(self._by_bytes)

    def why_refused(self, sha256: str, entry: SourceEntry | None, fps: float) -> str | None:
        """Why an input is refused, in one line; None: it is not.

        Args:
            sha256: of its bytes; empty: they could not be read.
            entry: its clips; None: it has none.
            fps: of the clips.
        """
        if sha256 in self._by_bytes:
            return f"its bytes were taken down: {self._by_bytes[sha256].name}"
        for clip in entry.clips if entry and self._looked_at else ():
            hashes = np.array([int(text, 16) for text in clip.measures.hashes], np.uint64)
            for seen, image in ((hashes, ""), (hashes ^ fingerprints.MIRRORED, " in a mirror")):
                record = self._resembled(clip, seen, fps)
                if record is not None:
                    return f"its clip at {clip.start_seconds:g} s looks like what was taken down{image}: {record.name}"
        return None

    def _resembled(self, clip: ClipEntry, hashes: NDArray[np.uint64], fps: float) -> TakedownRecord | None:
        """The record that has a stretch like this clip, whose hashed frames have these hashes."""
        known, num = self._frames, clip.num_frames
        offsets = [index / fps for index in sorted({0, num // 2, num - 1})]
        colours = np.array(clip.measures.colours, np.float32)
        bits = np.array([record.bits for record in self._looked_at]) * len(hashes)
        away = np.bitwise_count(known.hashes ^ hashes[0]).astype(np.int64)
        begins = np.flatnonzero(away <= bits[known.records])
        away = away[begins]
        most = np.abs(known.colours[begins] - colours[0]).max(axis=1, initial=0)
        for offset, own, colour in zip(offsets[1:], hashes[1:], colours[1:], strict=True):
            places = _nearest(known.moments, known.moments[begins] + offset, 0.5 / fps + 1e-3)
            away = away + np.where(places < 0, 65, np.bitwise_count(known.hashes[places] ^ own))
            away = np.where(places < 0, 1 << 20, away)
            most = np.maximum(most, np.abs(known.colours[places] - colour).max(axis=1, initial=0))
        of = known.records[begins]
        limits = np.array([record.colour for record in self._looked_at])
        alike = np.flatnonzero((away <= bits[of]) & (most <= limits[of]))
        return self._looked_at[of[alike[0]]] if len(alike) else None


def _nearest(moments: NDArray[np.float64], wanted: NDArray[np.float64], most: float) -> NDArray[np.int64]:
    """The place of the moment nearest to each of these, -1 where it is further than ``most`` away."""
    after = np.clip(np.searchsorted(moments, wanted), 1, max(1, len(moments) - 1))
    before = after - 1
    after = np.minimum(after, len(moments) - 1)
    nearer = np.where(np.abs(moments[after] - wanted) < np.abs(moments[before] - wanted), after, before)
    return np.where(np.abs(moments[nearer] - wanted) <= most, nearer, -1)


def _joined(records: Sequence[TakedownRecord]) -> _Frames:
    frames: list[tuple[Any, ...]] = [
        (int(frame.hash, 16), frame.colour, number * _APART + frame.seconds, number)
        for number, record in enumerate(records)
        for frame in record.frames
    ]
    hashes, colours, moments, numbers = zip(*frames, strict=True)
    return _Frames(
        np.array(hashes, np.uint64), np.array(colours, np.float32), np.array(moments), np.array(numbers, np.int64)
    )
