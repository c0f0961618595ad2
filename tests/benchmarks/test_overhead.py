"""The benchmark of what a step costs outside the model: its sums, and that it runs."""

from __future__ import annotations

import re
import sys

import pytest

from benchmarks import overhead
from tests.support.settings import changed, recipe


def test_rare_work_counts_as_often_as_in_the_recipe() -> None:
    training = changed(recipe().train_base, steps=1000, log_every=10, checkpoint_every=100)
    seconds = {
        "all": 20.0, "model": 10.0, "batches": 1.0, "reading the loss": 0.5, "log": 2.0, "checkpoint: copy": 4.0,
        "checkpoint: wait": 1.5,
    }  # fmt: skip
    found = overhead.per_step(seconds, 10, training)
    assert found == {
        "model": 1000.0, "batches": 100.0, "reading the loss": 50.0,
        "rest": pytest.approx(100.0),  # one second of ten steps that is nothing else
        "log": 100.0,  # two lines in two seconds, one in ten steps
        "checkpoint: copy": 20.0, "checkpoint: wait": 1.5, "all": pytest.approx(1371.5),
    }  # fmt: skip


@pytest.mark.slow
def test_it_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(overhead, "GOALS", {"demo": 0.15})
    monkeypatch.setattr(sys, "argv", ["overhead", "--steps", "1", "--rounds", "1", "--device", "cpu"])
    overhead.main()
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| demo")]
    share = re.search(r"([0-9.]+)% \(", row)
    assert share is not None
    assert 0 < float(share[1]) < 100
    model, batches = (float(row.split("|")[place]) for place in (3, 4))
    assert 0 < batches < model
