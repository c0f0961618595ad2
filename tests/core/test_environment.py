"""Defaults of variables that libraries read: set where nobody decided, and before the library that reads them."""

from __future__ import annotations

import importlib.util
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


_LOADED_AFTER_WALT = """
import ctypes, runpy, sys
sys.argv = ["walt", "--help"]
try:
    runpy.run_module("walt.cli", run_name="__main__")
except SystemExit:
    ctypes.CDLL(LIBRARY)
"""


def openmp_of_torch() -> str:
    """The file of the library that torch loads; torch is only looked for."""
    found = importlib.util.find_spec("torch")
    assert found is not None
    (folder,) = map(Path, found.submodule_search_locations or ())
    (file,) = [*folder.glob("lib/libgomp*"), *folder.parent.glob("torch.libs/libgomp*")]
    return str(file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "spins", "with_torch"),
    [
        ({}, DEFAULTS["GOMP_SPINCOUNT"], True),  # all of torch takes seconds
        ({"GOMP_SPINCOUNT": "77"}, "77", False),
        ({"OMP_WAIT_POLICY": "passive"}, "0", False),
    ],
)
def test_torchs_threads_wait_as_was_said(given: dict[str, str], spins: str, with_torch: bool) -> None:
    """The OpenMP library that torch loads prints what it found, when it is loaded in a process of ``walt``."""
    plain = {name: value for name, value in os.environ.items() if name not in WAITING}
    command = [sys.executable, "-m", "walt.cli", "describe", "--recipe", "tiny"]
    if not with_torch:
        command = [sys.executable, "-c", _LOADED_AFTER_WALT.replace("LIBRARY", repr(openmp_of_torch()))]
    environment = {**plain, **given, "OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)) == {spins}, done.stderr
