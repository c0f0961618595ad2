"""The transformer benchmark runs, and its ratios say which side is which."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import transformer

pytest.importorskip("diffusers")


@pytest.mark.slow
def test_it_runs_in_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = (
        "--layers 2 --width 24 --heads 2 --batch 1 --rounds 1 --precisions fp32 --windows 5x4x4 5x8x8 --device cpu"
    )
    monkeypatch.setattr(transformer, "GRID", (5, 8, 8))
    monkeypatch.setattr(sys, "argv", ["transformer", *options.split(), "--out", str(tmp_path / "table.md")])
    transformer.main()
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert sum(line.startswith("| fp32") for line in lines) == 2 * 2 + 3
    assert any("the bias at 5x4x4" in line for line in lines)
    assert any("5x8x8, bias, is" in line and "as fast as Latte" in line for line in lines)


def test_ratios_are_theirs_over_ours() -> None:
    seconds = {"W.A.L.T 5x8x8, bias": 2.0, "W.A.L.T 5x8x8, no bias": 1.0, "W.A.L.T full, bias": 3.0, "Latte": 5.0}
    rows = [transformer.Row("bf16", "eager", name, 1, value, value / 2, "", 1, 1, 1) for name, value in seconds.items()]
    assert list(transformer.ratios(rows)) == [
        "- bf16, eager: the bias at 5x8x8 makes a step 2.00 (2.00) x as long",
        "- bf16, eager: 5x8x8, bias, is 1.50 (1.50) x as fast as W.A.L.T full, bias",
        "- bf16, eager: 5x8x8, bias, is 2.50 (2.50) x as fast as Latte",
        "- bf16, eager: 5x8x8, no bias, is 5.00 (5.00) x as fast as Latte",
    ]
