"""Generated videos as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from walt.media.images import decode_png
from walt.media.mp4 import decode_clip
from walt.media.playable import read_metadata
from walt.sampling.output import FRAMES_SHOWN, frame_grid, overview, to_frames, write_sample


def square(colour: tuple[int, int, int], frames: int = 9, side: int = 32) -> np.ndarray:
    video = np.full((frames, side, side, 3), 230, np.uint8)
    for t in range(frames):
        video[t, 8:20, t : t + 12] = colour
    return video


def test_range_of_pixels() -> None:
    video = torch.tensor([-1.5, -1.0, 0.0, 1.0, 2.0]).view(1, 5, 1, 1).expand(3, 5, 2, 2)
    frames = to_frames(video)
    assert frames.shape == (5, 2, 2, 3)
    assert frames.dtype == np.uint8
    assert frames[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


def test_a_sample_says_what_it_is(tmp_path: Path) -> None:
    metadata = {"prompt": "a red square", "seed": 7, "settings": {"steps": 50}}
    write_sample(tmp_path / "base", "00000", square((220, 20, 20)), 8.0, metadata)
    mp4 = tmp_path / "base/00000.mp4"
    assert read_metadata(mp4) == metadata
    decoded = decode_clip(mp4.read_bytes()).astype(int)
    assert decoded.shape == (9, 32, 32, 3)
    assert np.abs(decoded - square((220, 20, 20))).mean() < 6
    grid = decode_png((tmp_path / "base/00000.png").read_bytes())
    assert grid.shape[1] > FRAMES_SHOWN * 128

    first = mp4.read_bytes()
    write_sample(tmp_path / "base", "00000", square((220, 20, 20)), 8.0, metadata)
    assert mp4.read_bytes() == first


def test_a_grid_shows_first_and_last_frame_and_the_caption() -> None:
    frames = square((220, 20, 20), frames=17)
    grid = frame_grid(frames, "a red square")
    assert np.array_equal(grid[8 : 8 + 128 : 4, 8 : 8 + 128 : 4], frames[0])
    assert np.array_equal(grid[8 : 8 + 128 : 4, -8 - 128 : -8 : 4], frames[-1])
    assert (grid[8 + 128 :].min(-1) < 128).any()  # ink
    assert not np.array_equal(grid, frame_grid(frames, "a green square"))


def test_long_captions_and_stills() -> None:
    grid = frame_grid(square((0, 0, 0), frames=1), "word " * 200)
    assert grid.shape[0] < 128 + 80
    assert grid.shape[1] == 128 + 16


def test_overview_holds_every_video() -> None:
    videos = [square((200, 10 * i, 0)) for i in range(5)]
    picture = overview(videos, [f"number {i}" for i in range(5)], columns=2)
    height = picture.shape[0] // 3
    for i in range(5):
        tile = picture[i // 2 * height :, i % 2 * (picture.shape[1] // 2) :]
        assert np.array_equal(tile[8 : 8 + 64 : 2, 8 : 8 + 64 : 2], videos[i][0])
