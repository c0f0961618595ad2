"""Defaults of variables that libraries read: set where nobody decided, and before the library that reads them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from walt.core.environment import DEFAULTS, WAITING, defaults

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_set_stays() -> None:
    assert defaults({}) == DEFAULTS
    assert defaults({"DO_NOT_TRACK": "0"}).keys() == DEFAULTS.keys() - {"DO_NOT_TRACK"}


@pytest.mark.parametrize("name", WAITING)
def test_who_decides_how_threads_wait_is_not_overruled_by_the_other_variable(name: str) -> None:
    assert defaults({name: "active"}).keys() == DEFAULTS.keys() - set(WAITING)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, DEFAULTS["GOMP_SPINCOUNT"]), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
)
def test_torchs_threads_wait_as_was_said(given: dict[str, str], spins: str) -> None:
    """The OpenMP library that torch loads in a process of ``walt`` prints what it found when loaded."""
    plain = {name: value for name, value in os.environ.items() if name not in WAITING}
    command = [sys.executable, "-m", "walt.cli", "describe", "--recipe", "tiny"]
    environment = {**plain, **given, "OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)) == {spins}, done.stderr
