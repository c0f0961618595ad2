"""The benchmark of ingest measures what it says: real videos, whole clips, and ratios the right way up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import ingest
from walt.media.video import probe


@pytest.mark.slow
def test_it_runs_in_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ingest, "REAL", tmp_path / "nowhere")
    monkeypatch.setattr(ingest, "VIDEO", "320x180")
    options = f"--videos 2 --seconds 2.5 --clips 1 --rounds 1 --folder {tmp_path / 'videos'}"
    monkeypatch.setattr(sys, "argv", ["ingest", *options.split(), "--out", str(tmp_path / "deep/table.md")])
    ingest.main()
    table = (tmp_path / "deep/table.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert "- 34 of 34 frames are bit-identical" in table
    for name in (ingest.FLOOR, ingest.OURS, "ffmpeg, one command per clip", "ffmpeg, a pass with segments", "PyAV"):
        assert f"| {name}" in table
    assert "2 videos of 2.5 s, 320x180, " in table
    info = probe(tmp_path / "videos/video-00.mp4")
    assert (info.codec, info.width, info.height, info.num_frames) == ("h264", 320, 180, 75)


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    floor, ours = ingest.Costs(cpu=[2.0, 6.0, 3.0]), ingest.Costs(cpu=[1.0, 2.0, 2.0])
    assert ingest.ratio(floor, ours) == 2.0
    assert ingest.ratio(ours, floor) == 0.5
    assert ingest.ratio(ingest.Costs(cpu=[8.0]), ours) == 8.0  # video2dataset runs once


def test_cpu_seconds_are_those_of_children_too() -> None:
    before = ingest.cpu_seconds()
    ingest.run_side_by_side([["-f", "lavfi", "-i", "testsrc2=duration=1", "-f", "null", "-"]])
    assert ingest.cpu_seconds() > before
