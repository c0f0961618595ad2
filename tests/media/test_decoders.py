"""Pictures of which a decoder would show only a part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.media import LIMITS, ffmpeg, write_video
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
