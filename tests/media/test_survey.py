"""What a source is, by its header and first frame: upright, in square pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.media import LIMITS, counter, shared_data, write_video
from walt.core.sizes import Size
from walt.media.images import Limits, SourceError
from walt.media.video import SourceFacts, read_clips


def survey(path: Path, limits: Limits) -> SourceFacts:
    """The facts that come with clips, which are the ones that the sizes are chosen by."""
    seen: list[SourceFacts] = []

    def fit(facts: SourceFacts) -> list[Size]:
        seen.append(facts)
        return [(16, 16)]

    (clip,) = read_clips(path, num_frames=1, fps=8, sizes=fit, max_clips=1, limits=limits)
    assert seen == [clip.facts]
    assert [*clip.frames] == [(16, 16)]
    return clip.facts


@pytest.mark.parametrize(
    ("name", "height", "width", "fps"),
    [
        ("misc/ios9.mov", 1280, 720, 30.0),  # stored lying on its side
        ("kinetics/abseiling/abseiling_k400.mp4", 256, 455, 25.0),  # 454 pixels that are not square
        ("misc/nasa_13013.mp4", 270, 480, 30.0),  # the better of two streams
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


@pytest.mark.parametrize(("codec", "pixel_format"), [("libx264", "yuv420p"), ("mpeg4", "yuv420p")])
def test_a_refusal_of_all_sizes_comes_before_the_clips_are_counted(
    tmp_path: Path, codec: str, pixel_format: str
) -> None:
    """Decoded in part (H.264) or as a whole, and even where no clip could be cut."""
    path = write_video(tmp_path / "a.mp4", counter(12), codec=codec, pixel_format=pixel_format)

    def refuse(facts: SourceFacts) -> list[Size]:
        raise SourceError("aspect", f"{facts.height}x{facts.width}")

    for starts in ([0.0], [60.0], []):
        with pytest.raises(SourceError, match="aspect"):
            read_clips(path, num_frames=1, fps=8, sizes=refuse, max_clips=1, limits=LIMITS, starts=starts)
        with pytest.raises(SourceError, match="too_short"):
            read_clips(path, num_frames=99, fps=8, sizes=[(16, 16)], max_clips=1, limits=LIMITS, starts=starts)
