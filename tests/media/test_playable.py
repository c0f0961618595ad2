"""Videos for people: MP4 for browsers, GIF."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from tests.support.media import counter, moving, read_counter
from walt.core.errors import StorageError
from walt.media.images import Limits
from walt.media.mp4 import decode_clip
from walt.media.playable import read_metadata, write_gif, write_playable
from walt.media.video import iterate_frames, probe


def test_a_playable_file_has_what_browsers_need_and_its_metadata(tmp_path: Path) -> None:
    metadata = {"prompt": 'it\'s "a" = test; ü\n# \\', "seed": 3, "settings": {"steps": 50}}
    frames = counter(17, 32, 48)
    for name in ("a.mp4", "b.mp4"):
        write_playable(tmp_path / name, frames, 8, metadata)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data == (tmp_path / "b.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert read_metadata(tmp_path / "a.mp4") == metadata
    info = probe(tmp_path / "a.mp4")
    assert (info.codec, info.pixel_format, info.num_frames, info.average_fps) == ("h264", "yuv420p", 17, 8)
    assert read_counter(decode_clip(data)) == list(range(17))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_a_gif_has_all_frames_and_the_same_bytes_every_time(tmp_path: Path) -> None:
    frames = moving(33, num_frames=9)
    for name in ("a.gif", "b.gif"):
        write_gif(tmp_path / name, iter(frames), 10)
    data = (tmp_path / "a.gif").read_bytes()
    assert data == (tmp_path / "b.gif").read_bytes()
    assert b"NETSCAPE2.0\x03\x01\x00\x00" in data  # repeats forever
    limits = Limits(min_side=1, max_pixels=10_000, max_seconds=60)
    shown = list(iterate_frames(tmp_path / "a.gif", fps=10, fit=lambda size: size, limits=limits))
    assert len(shown) == 9
    for number, found in enumerate(shown):
        errors = [float(np.abs(found.astype(int) - frame).mean()) for frame in frames]
        assert errors.index(min(errors)) == number
        assert min(errors) < 4
    with pytest.raises(ValueError, match="no pictures"):
        write_gif(tmp_path / "c.gif", iter(()), 8)


def test_frames_may_come_one_by_one(tmp_path: Path) -> None:
    frames = counter(9, 32, 48)
    write_playable(tmp_path / "a.mp4", frames, 8, {})
    write_playable(tmp_path / "b.mp4", (frame for frame in frames), 8, {})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_rate_may_be_a_fraction(tmp_path: Path) -> None:
    write_playable(tmp_path / "a.mp4", counter(30), Fraction(30000, 1001), {})
    assert probe(tmp_path / "a.mp4").average_fps == Fraction(30000, 1001)


def test_nothing_is_left_of_a_file_whose_frames_end_with_an_error(tmp_path: Path) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from counter(5)
        raise RuntimeError("broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        write_playable(tmp_path / "a.mp4", frames(), 8, {})
    with pytest.raises(ValueError, match="no pictures"):
        write_playable(tmp_path / "a.mp4", iter(()), 8, {})
    assert list(tmp_path.iterdir()) == []


def test_ffmpegs_failure_is_one_line(tmp_path: Path) -> None:
    """yuv420p takes no odd sizes; ffmpeg ends before it has read what is written to it."""
    with pytest.raises(StorageError, match=r"a\.mp4: ffmpeg failed: \S") as caught:
        write_playable(tmp_path / "a.mp4", np.zeros((40, 301, 301, 3), np.uint8), 8, {})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_the_cause_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ffmpeg ends with a line that knows nothing of it: these are its lines on a full disk."""
    program = tmp_path / "ffmpeg"
    program.write_text(
        "#!/bin/sh\ncat >/dev/null\n"
        "echo '[vf#0:0] Task finished with error code: -28 (No space left on device)' >&2\n"
        "echo '[out#0/mp4] Nothing was written into output file' >&2\nexit 228\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    with pytest.raises(StorageError) as failed:
        write_playable(tmp_path / "a.mp4", counter(1, 16, 16), 8, {})
    assert str(failed.value) == f"{tmp_path / 'a.mp4'}: No space left on device"
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]
