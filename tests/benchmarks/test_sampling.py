"""The benchmarks of sampling and of the paper's sizes run, in small."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import sampling, transformer_gpu


@pytest.mark.slow
def test_sampling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sampling.SIZES, "demo", {"layers": 2})
    options = "--steps 2 --rounds 2 --sizes demo --batches 1 --device cpu"
    monkeypatch.setattr(sys, "argv", ["sampling", *options.split(), "--out", str(tmp_path / "table.md")])
    sampling.main()
    (row,) = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("| demo")]
    overheads = [float(word.rstrip("%")) for word in row.split() if word.endswith("%")]
    assert len(overheads) == 4
    assert all(0 < share < 100 for share in overheads)


@pytest.mark.slow
def test_the_papers_sizes_code_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With models of two layers, on a processor, eager."""
    monkeypatch.setattr(transformer_gpu, "SIZES", {"L": (2, 32, 2, 64), "3B": (9, 64, 2, 96)})
    options = "--sizes L 3B --layers-of-3b 3 --batches 1 --rounds 1 --sampling-steps 2 --sampling-batch 1 --eager"
    arguments = ["transformer_gpu", *options.split(), "--device", "cpu", "--out", str(tmp_path / "table.md")]
    monkeypatch.setattr(sys, "argv", arguments)
    transformer_gpu.main()
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert next(line.split("|")[3].strip() for line in lines if line.startswith("| 3B")) == "3"
    assert sum(line.startswith(("| 5x", "| full")) for line in lines) == 2 * 4
    assert any(line.startswith("| full") and line.rstrip(" |").endswith("1.00") for line in lines)
