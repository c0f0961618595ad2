"""An export that is killed, whenever, ends in the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.export_project import write_project

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "every"), [("webdataset", 13), ("videofolder", 23), ("energon", 23), ("litdata", 19)]
)
def test_a_killed_export_ends_in_the_same_bytes(tmp_path: Path, layout: str, every: int) -> None:
    write_project(tmp_path)
    code = (
        "from pathlib import Path; from tests.support.interrupted_export import killed_at_each_write; "
        f"killed_at_each_write(Path({str(tmp_path)!r}), {layout!r}, {every})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
