"""Sources that were taken down are refused, in whatever form they come back; others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from walt.core.errors import CorruptArtifactError
from walt.ingest.clip_cache import ClipEntry, SourceEntry
from walt.ingest.measures import Measures, measure
from walt.ingest.taken_down import BITS, FOLDER, Frame, TakedownRecord, TakenDown, fingerprint
from walt.media.fingerprints import perceptual_hash
from walt.media.shots import thumbnails

FPS = 8.0
TAKEN = "1" * 64


def _frames(seed: int, count: int = 40) -> np.ndarray:
    """A noisy picture that moves, (T, 48, 48, 3)."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (12, 40, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return np.stack([picture[:48, 4 * t : 4 * t + 48] for t in range(count)])


def _entry(frames: np.ndarray, *starts: int, count: int = 17) -> SourceEntry:
    """Clips of these frames, which begin at these places."""
    clips = tuple(
        ClipEntry(f"{start:032x}", "video", start / FPS, count, (), measure(thumbnails(own), [0.0] * (count - 1)))
        for start in starts
        for own in [frames[start : start + count]]
    )
    return SourceEntry("2" * 64, clips, None)


def _record(frames: np.ndarray, sha256: str = TAKEN, bits: int | None = BITS) -> TakedownRecord:
    return TakedownRecord(sha256, "asked", "2026-11-28", FPS, bits, frames=fingerprint([(0.0, frames)], FPS))


def test_the_same_bytes_are_refused_without_a_look() -> None:
    taken = TakenDown([_record(_frames(0), bits=None)])
    assert "its bytes were taken down" in (taken.why_refused(TAKEN, None, FPS) or "")
    assert taken.why_refused("3" * 64, _entry(_frames(0), 0), FPS) is None, "this record looks at bytes only"
    assert taken.why_refused("", None, FPS) is None


@pytest.mark.parametrize("start", [0, 5, 23])
def test_a_stretch_of_it_is_refused_wherever_it_begins(start: int) -> None:
    taken = TakenDown([_record(_frames(1), "3" * 64), _record(_frames(0))])
    cause = taken.why_refused("2" * 64, _entry(_frames(0), start), FPS)
    assert cause == f"its clip at {start / FPS:g} s looks like what was taken down: {TAKEN[:16]}"


@pytest.mark.parametrize("start", [0, 23])
def test_a_mirror_image_of_it_is_refused(start: int) -> None:
    taken = TakenDown([_record(_frames(1), "3" * 64), _record(_frames(0))])
    cause = taken.why_refused("2" * 64, _entry(_frames(0)[:, :, ::-1], start), FPS)
    assert cause == f"its clip at {start / FPS:g} s looks like what was taken down in a mirror: {TAKEN[:16]}"
    assert taken.why_refused("2" * 64, _entry(_frames(2)[:, :, ::-1], start), FPS) is None


def test_one_clip_of_several_is_enough() -> None:
    frames = np.concatenate([_frames(2), _frames(0)])
    assert TakenDown([_record(_frames(0))]).why_refused("2" * 64, _entry(frames, 0, 42), FPS)


def test_the_same_frames_in_another_order_or_beyond_its_end_are_another_video() -> None:
    taken = TakenDown([_record(_frames(0))])
    assert taken.why_refused("2" * 64, _entry(_frames(0)[::-1], 0), FPS) is None
    half = np.concatenate([_frames(0)[30:], _frames(5)])
    assert taken.why_refused("2" * 64, _entry(half, 0), FPS) is None


def test_frames_of_two_records_make_no_stretch() -> None:
    frames = _frames(0)
    taken = TakenDown([_record(frames[:12], "3" * 64), _record(frames[12:], "4" * 64)])
    assert taken.why_refused("2" * 64, _entry(frames, 2), FPS) is None


def test_another_colour_is_another_video() -> None:
    frames = _frames(0)
    tinted = frames.astype(int) * [1.0, 0.5, 1.0]
    assert TakenDown([_record(frames)]).why_refused("2" * 64, _entry(tinted.astype(np.uint8), 0), FPS) is None


def test_a_still_of_it_is_refused() -> None:
    thumb = thumbnails(_frames(0)[9:10])
    red, green, blue = (float(level) for level in thumb[0].mean(axis=(0, 1)))
    measures = Measures((), (), (255.0,), (perceptual_hash(thumb[0]),), ((red, green, blue),))
    entry = SourceEntry("2" * 64, (ClipEntry("0" * 32, "image", 0.0, 1, (), measures),), None)
    assert TakenDown([_record(_frames(0))]).why_refused("2" * 64, entry, FPS)
    assert TakenDown([_record(_frames(1))]).why_refused("2" * 64, entry, FPS) is None


def test_without_records_and_with_records_without_frames_nothing_is_looked_at() -> None:
    entry = _entry(_frames(0), 0)
    assert TakenDown().why_refused("2" * 64, entry, FPS) is None
    assert TakenDown([TakedownRecord(TAKEN, "", "2026-11-28", FPS)]).why_refused("2" * 64, entry, FPS) is None


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = _record(_frames(0)[:3])
    path = record.write(tmp_path)
    assert path == tmp_path / FOLDER / f"{TAKEN[:16]}.json"
    assert TakenDown.read(tmp_path).records == (record,)
    assert isinstance(record.frames[0], Frame)


@pytest.mark.parametrize("damage", ["{}", "[]", "no json", None])
def test_a_record_that_was_changed_is_not_read(tmp_path: Path, damage: str | None) -> None:
    path = _record(_frames(0)[:3]).write(tmp_path)
    path.write_text(path.read_text().replace("asked", "never asked") if damage is None else damage)
    with pytest.raises(CorruptArtifactError, match=path.name):
        TakenDown.read(tmp_path)
