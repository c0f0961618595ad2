"""The stored form of clips: the same bytes every time, and close to the frames."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from tests.support.media import counter, moving, read_counter, shared_data
from walt.media.images import Limits, to_pixels
from walt.media.mp4 import decode_clip, encode_clip
from walt.media.video import read_clips


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.parametrize("side", [16, 32, 64])
@pytest.mark.parametrize("crf", [0, 8, 18])
def test_the_same_frames_give_the_same_bytes(side: int, crf: int) -> None:
    """x264's macroblock tree broke this for small pictures, in about one run of ten."""
    frames = moving(side)
    assert len({encode_clip(frames, 8, crf) for _ in range(8)}) == 1


def test_quality_follows_crf() -> None:
    frames = moving(64)
    quality = {crf: psnr(decode_clip(encode_clip(frames, 8, crf)), frames) for crf in (0, 8, 18)}
    assert quality[0] > 48  # nothing is lost but by rounding in the colour conversion
    assert quality[0] > quality[8] > quality[18] > 30


@pytest.mark.parametrize("fps", [0.5, 24, 25, 29.97, 60])
def test_the_rate_is_the_containers_and_changes_no_picture(fps: float) -> None:
    """x264 would give frames that are shown for a shorter time a coarser quantizer (findings/x264_crf_rate.sh)."""
    frames = moving(64)
    at_8, data = encode_clip(frames, 8, 18), encode_clip(frames, fps, 18)
    assert np.array_equal(decode_clip(data), decode_clip(at_8))
    assert len(data) == len(at_8)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        shown = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        assert float(stream.average_rate) == pytest.approx(fps, rel=1e-3)
        assert float(stream.duration * stream.time_base) == pytest.approx(len(frames) / fps, rel=1e-3)
        times = [float(moment * stream.time_base) for moment in shown]
    assert times == pytest.approx([number / fps for number in range(len(frames))], abs=1e-3)


@pytest.mark.slow
def test_stored_clips_are_nearly_equal_to_the_source() -> None:
    """Real clips at 128x128, at the quality of the recipe for real videos (docs/results/ingest.md)."""
    names = ["misc/bikes.mp4", "kinetics/cleaning pool/test.mp4", "ucf101/Biking/v_Biking_g05_c02.avi",
             "misc/nasa_13013.mp4", "captioned/videos/hiker.mp4"]  # fmt: skip
    limits, quality, sizes = Limits(16, 4096 * 4096, 600), [], []
    for name in names:
        path = shared_data() / "clips" / name
        for clip in read_clips(path, num_frames=17, fps=8, sizes=[(128, 128)], max_clips=2, limits=limits):
            data = encode_clip(clip.frames[128, 128], 8, 16)
            quality.append(psnr(decode_clip(data), clip.frames[128, 128]))
            sizes.append(len(data))
    assert sorted(quality)[len(quality) // 2] > 40
    assert min(quality) > 38.5
    assert sorted(sizes)[len(sizes) // 2] < 80_000


def test_colours_are_kept_exactly_enough() -> None:
    for colour in [(230, 40, 40), (40, 190, 60), (45, 85, 235), (0, 0, 0), (255, 255, 255)]:
        frames = np.broadcast_to(np.array(colour, np.uint8), (5, 32, 32, 3))
        assert np.abs(decode_clip(encode_clip(frames, 8, 8)).astype(int) - frames).max() <= 3


@pytest.mark.parametrize("shape", [(17, 32, 32, 3), (1, 16, 24, 3), (5, 33, 47, 3)])
def test_all_frames_come_back_in_order(shape: tuple[int, ...]) -> None:
    frames = counter(*shape[:3])
    clip = decode_clip(encode_clip(frames, 8, 8))
    assert clip.shape == shape
    assert clip.dtype == np.uint8
    assert read_counter(clip) == list(range(shape[0]))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 18), (64, 128)])
def test_frames_are_converted_together_as_they_are_alone(height: int, width: int) -> None:
    """One preparation serves all frames of a clip: it is half of the time that a small one takes."""
    frames = np.random.default_rng(0).integers(0, 256, (5, height, width, 3), np.uint8)
    data = encode_clip(frames, fps=8, crf=8)
    with av.open(io.BytesIO(data)) as container:
        alone = [to_pixels(frame, "rgb24") for frame in container.decode(video=0)]
    assert np.array_equal(decode_clip(data), np.stack(alone))


def test_the_bytes_contain_neither_the_encoder_nor_the_time() -> None:
    data = encode_clip(moving(32), 8, 8)
    assert b"x264" not in data
    assert b"Lav" not in data
