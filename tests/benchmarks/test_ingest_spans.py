"""The benchmark of many spans of one video runs, and no span is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import ingest_spans


@pytest.mark.slow
def test_it_runs_in_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ingest_spans, "PART_SECONDS", 1)
    monkeypatch.setattr(ingest_spans, "SPAN_SECONDS", 2.2)
    command = ["ingest_spans", "--minutes", "0.1", "--spans", "3", "--out", str(tmp_path / "deep/table.md")]
    monkeypatch.setattr(sys, "argv", command)
    ingest_spans.main()
    table = (tmp_path / "deep/table.md").read_text()
    assert capsys.readouterr().out == table + "\n"
    assert table.count("decoding all 180 frames") == 2
    assert table.count("3 of 3 spans, 3 clips") == 4
