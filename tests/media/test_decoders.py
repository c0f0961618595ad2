"""Pictures of which a decoder would show only a part."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.media import LIMITS, ffmpeg, moving, write_video
from walt.media.images import SourceError
from walt.media.video import read_clips


def hevc(folder: Path, pixel_format: str) -> Path:
    """Two frames, a half of which is transparent where the format allows it."""
    frames = np.full((2, 64, 64, 4), 200, np.uint8)
    frames[:, :, :32, 3] = 0
    raw = write_video(folder / "raw.mov", frames, codec="png", pixel_format="rgba")
    path = folder / f"{pixel_format}.mov"
    ffmpeg(
        "-i", raw, "-c:v", "libx265", "-x265-params", "pools=1:log-level=none", "-pix_fmt", pixel_format,
        "-tag:v", "hvc1", path,
    )  # fmt: skip
    return path


def test_hevc_with_a_layer_of_transparency_is_refused(tmp_path: Path) -> None:
    """FFmpeg decodes its colours alone: what should not be seen would be in the clips."""
    with pytest.raises(SourceError, match="transparency") as refused:
        read_clips(hevc(tmp_path, "yuva420p"), num_frames=1, fps=24, sizes=[(64, 64)], max_clips=1, limits=LIMITS)
    assert refused.value.code == "colours"
    read_clips(hevc(tmp_path, "yuv420p"), num_frames=1, fps=24, sizes=[(64, 64)], max_clips=1, limits=LIMITS)


def units_of_pictures(folder: Path, name: str, frames: np.ndarray) -> list[list[bytes]]:
    """The NAL units of each picture of an HEVC stream, without their start codes and delimiters."""
    raw = write_video(folder / f"{name}.mkv", frames, codec="ffv1", pixel_format="bgr0")
    params = "pools=1:frame-threads=1:bframes=0:aud=1:repeat-headers=1:keyint=1:log-level=none"
    ffmpeg("-i", raw, "-c:v", "libx265", "-x265-params", params, "-pix_fmt", "yuv420p", folder / f"{name}.hevc")
    units = re.split(rb"\0*\0\0\x01", (folder / f"{name}.hevc").read_bytes())[1:]
    pictures: list[list[bytes]] = []
    for unit in units:
        if unit[0] >> 1 & 63 == 35:  # an access unit delimiter
            pictures.append([])
        else:
            pictures[-1].append(unit)
    return pictures


@pytest.mark.parametrize(
    "suffix", ["mp4", pytest.param("mkv", marks=pytest.mark.slow), pytest.param("ts", marks=pytest.mark.slow)]
)
def test_of_hevc_with_a_second_view_the_first_is_read(tmp_path: Path, suffix: str) -> None:
    """Each picture has one of another view behind it, as layer 1, as in MV-HEVC; players pass it over."""
    first = units_of_pictures(tmp_path, "first", moving(64, 8))
    second = units_of_pictures(tmp_path, "second", 255 - moving(64, 8))
    assert len(first) == len(second) == 8

    def stream(name: str, others: list[list[bytes]]) -> Path:
        layer_1 = [[unit[:1] + bytes([unit[1] | 1 << 3]) + unit[2:] for unit in units] for units in others]
        units = (unit for pair in zip(first, layer_1, strict=True) for picture in pair for unit in picture)
        (tmp_path / f"{name}.hevc").write_bytes(b"".join(b"\0\0\0\1" + unit for unit in units))
        ffmpeg("-r", "24", "-i", tmp_path / f"{name}.hevc", "-c", "copy", tmp_path / f"{name}.{suffix}")
        return tmp_path / f"{name}.{suffix}"

    alone, both = (stream(name, others) for name, others in (("alone", [[]] * 8), ("both", second)))
    assert both.stat().st_size > 1.5 * alone.stat().st_size
    one, other = (
        read_clips(path, num_frames=5, fps=24, sizes=[(64, 64)], max_clips=1, limits=LIMITS) for path in (alone, both)
    )
    assert one[0].start_seconds == other[0].start_seconds
    assert np.array_equal(one[0].frames[64, 64], other[0].frames[64, 64])


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("transfer", "matrix", "primaries"), [("smpte2084", "bt2020nc", "bt2020"), ("bt709", "bt709", "bt709")]
)
def test_colours_that_only_the_container_states_count(
    tmp_path: Path, transfer: str, matrix: str, primaries: str, suffix: str
) -> None:
    """FFmpeg's decoder puts "unspecified" in their place: HDR would come out pale, BT.709 as BT.601."""
    raw = write_video(tmp_path / "raw.mkv", moving(64, 2), codec="ffv1", pixel_format="bgr0")
    stated = ["-color_trc", transfer, "-colorspace", matrix, "-color_primaries", primaries]
    params = f"scale,format=yuv420p10le,setparams=color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}"
    both, container, neither = (tmp_path / f"{name}.{suffix}" for name in ("both", "container", "neither"))
    ffmpeg("-i", raw, "-vf", params, "-c:v", "libx264", "-threads", "1", both)
    bare = "h264_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
    ffmpeg("-i", both, "-c", "copy", "-bsf:v", bare, *stated, "-movflags", "write_colr", container)
    plain = [name for name in stated if name.startswith("-")]
    ffmpeg("-i", both, "-c", "copy", "-bsf:v", bare, *(part for name in plain for part in (name, "unknown")), neither)
    pictures = [
        read_clips(path, num_frames=1, fps=24, sizes=[(64, 64)], max_clips=1, limits=LIMITS)[0].frames[64, 64]
        for path in (both, container, neither)
    ]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
