"""The benchmark of set distances: both contestants measure the same, and its table is whole."""

from __future__ import annotations

import pytest

from benchmarks import evaluation


def test_both_measure_the_same_distance() -> None:
    sides = evaluation.drawn(80, 12, 0), evaluation.drawn(80, 12, 1)
    assert evaluation.ours(*sides) == pytest.approx(evaluation.theirs(*sides), rel=1e-4)
    assert evaluation.ours_kid(*sides) == pytest.approx(evaluation.theirs_kid(*sides), rel=1e-3)


def test_a_row_has_seconds_memory_and_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_peak_elsewhere", lambda _, whose, *__: {"ours": 5.0, "torchmetrics": 20.0}[whose])
    row = evaluation.compare("Frechet distance", 40, 8, 1)
    assert row[:2] == ["Frechet distance", "8"]
    assert row[5:] == ["5 MiB", "20 MiB", "0.25"]
    assert evaluation.peak("KID", "ours", 20, 4) >= 0.0


def test_the_profile_names_where_the_time_goes() -> None:
    assert "frechet.py" in evaluation.profile(60, 20)
