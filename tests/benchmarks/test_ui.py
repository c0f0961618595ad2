"""The benchmark of the page runs, and its page says what it measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import ui

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/results/ui.md"


@pytest.mark.slow
def test_it_runs_and_writes_a_row_for_each_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "RECIPE", "tiny")
    out = tmp_path / "ui.md"
    monkeypatch.setattr(sys, "argv", ["ui", "--rounds", "1", "--steps", "2", "--out", str(out)])
    ui.main()
    rows = [line.split("|")[1].strip() for line in out.read_text().splitlines() if line.startswith("| ")]
    kept = [line.split("|")[1].strip() for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    assert rows == kept
    assert "benchmarks.ui" in DOCUMENT.read_text()
