"""The benchmark of busy machines: whom it counts as others, and its ratios."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from benchmarks import busy
from tests.support.waiting import comes_true


def test_figures_are_medians_of_ratios_within_rounds() -> None:
    assert busy.ratio([1.0, 2.0, 9.0], [2.0, 2.0, 3.0]) == "1.00 (0.50 to 3.00)"
    figures = {
        ("base", setting, beside): [speed, speed]
        for setting, speeds in {busy.AS_IT_COMES: (4.0, 1.0, 0.2), busy.OURS: (3.9, 2.0, 1.3)}.items()
        for beside, speed in enumerate(speeds)
    }
    arguments = argparse.Namespace(work=["base"], rounds=2, seconds=1.0, quiet=0.1)
    lines = busy.table(figures, [busy.AS_IT_COMES, busy.OURS], [0.0, 0.05, 0.7], arguments).splitlines()
    cells = [[cell.strip().split(" ")[0] for cell in line.split("|")[3:-1]] for line in lines[-2:]]
    assert cells == [["4", "1.00", "0.25", "0.05"], ["3.9", "0.97", "0.51", "0.33"]]
    assert "0.05 cores in the median of the 3 windows and 0.70 in the worst; 1 had more" in lines[0]


def test_the_process_itself_and_its_busy_ones_are_not_others() -> None:
    with busy.busy_processes(1) as pids:
        before = busy._process_seconds(pids), busy._machine_seconds()
        assert comes_true(lambda: busy._process_seconds(pids) - before[0] >= 0.05)
        used = busy._process_seconds([os.getpid(), *pids]) - before[0]
        assert used >= 0.05
        assert busy._machine_seconds() > before[1]
        assert Path(f"/proc/{pids[0]}").exists()
    assert not Path(f"/proc/{pids[0]}").exists()


@pytest.mark.slow
def test_the_models_process_makes_steps_when_it_is_asked() -> None:
    child = busy.Child("encoding", "OMP_NUM_THREADS=1")
    try:
        assert child.run(0.0) == 1
        assert child.run(0.2) >= 1
    finally:
        child.close()
    with pytest.raises(SystemExit, match="ended with status"):
        busy.Child("nothing", "OMP_NUM_THREADS=1")
