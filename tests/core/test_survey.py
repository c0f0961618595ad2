"""What a source is, by its header and first frame: upright, in square pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media import LIMITS, counter, shared_data, write_video
from walt.core.images import Limits, SourceError
from walt.core.video import SourceFacts, survey


@pytest.mark.parametrize(
    ("name", "height", "width", "fps"),
    [
        ("misc/ios9.mov", 1280, 720, 30.0),  # stored lying on its side
        ("kinetics/abseiling/abseiling_k400.mp4", 256, 455, 25.0),  # 454 pixels that are not square
        ("misc/nasa_13013.mp4", 180, 320, 25.0),  # the first of two streams
        ("misc/v_GGSY1Qvo990.mp4", 240, 320, 19.62),
    ],
)
def test_real_clips(name: str, height: int, width: int, fps: float) -> None:
    facts = survey(shared_data() / "clips" / name, LIMITS)
    assert (facts.height, facts.width) == (height, width)
    assert facts.fps == pytest.approx(fps, abs=0.5)
    assert facts.seconds is not None


def test_a_generated_video(tmp_path: Path) -> None:
    assert survey(write_video(tmp_path / "a.mp4", counter(12, 32, 48), fps=8), LIMITS) == SourceFacts(32, 48, 8.0, 1.5)


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SourceError, match="format"):
        survey(tmp_path / "text.mp4", LIMITS)
    path = write_video(tmp_path / "a.mp4", counter(12))
    with pytest.raises(SourceError, match="too_large"):
        survey(path, Limits(16, 1000, 600))
