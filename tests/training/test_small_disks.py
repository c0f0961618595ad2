"""Checkpoints on a disk that is full and on one that is read-only: what is said, what is kept, and how it goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import small_disk

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow  # tests/training/test_checkpoint.py has a disk that only says so
def test_a_real_disk_that_runs_full_and_one_that_becomes_read_only(tmp_path: Path) -> None:
    """Started again with room, or writable, it ends in the bits of a run that was not disturbed: ``small_disk``
    compares them."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this system does not allow mount namespaces")
    command = ["unshare", "-rm", sys.executable, "-m", small_disk.__name__, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    starts = json.loads(done.stdout.splitlines()[-1])
    for (first, again), name, why in zip(
        starts, "ab", ("No space left on device", "Read-only file system"), strict=True
    ):
        kept = [int(folder.removeprefix("step-")) for folder in first["checkpoints"]]
        assert kept == list(range(1, kept[-1] + 1))
        assert 1 <= kept[-1] < 9
        assert first["said"].startswith(f"{tmp_path / name}/step-{kept[-1] + 1:09d}")
        said = f"; the checkpoint of step {kept[-1] + 1} was not written, that of step {kept[-1]} is kept"
        assert first["said"].endswith(said)
        assert why in first["said"]
        assert why in again["said"]
        assert first["status"] == again["status"] == 4
        assert first["checkpoints"] == again["checkpoints"], "a start that cannot write removes none"
