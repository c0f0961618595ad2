"""The benchmark of ingest's costs runs, and measures every step that docs/scale.md reckons with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import ingest_costs

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/scale.md"


@pytest.mark.slow
def test_it_runs_in_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {
        "VOLUME": 4, "VIDEO_FRAMES": 72, "VIDEO_SIZE": (96, 160), "REPEATS": {"video": 1, "image": 1},
        "START_METHOD": "fork",  # each of five would import for two seconds
    }.items():  # fmt: skip
        monkeypatch.setattr(ingest_costs, name, value)
    monkeypatch.setattr(sys, "argv", ["ingest_costs", "--items", "12", "--out", str(tmp_path / "deep/table.md")])
    ingest_costs.main()
    table = (tmp_path / "deep/table.md").read_text()
    steps = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in printed] == steps
    for word in (
        "preparing",
        "listing",
        "hashing",
        "cutting",
        "caching",
        "choosing",
        "packing",
        "verifying",
        "writing the manifest",
        "reading the manifest whole",
        "reading the manifest, one row after the other",
        "reading the table of keys",
    ):
        assert any(word in step for step in steps), word
    assert "benchmarks.ingest_costs" in DOCUMENT.read_text(encoding="utf-8")
