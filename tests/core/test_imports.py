"""Which files of the package a module imports, read from its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from walt.core import imports
from walt.core.imports import imported_files, imported_names


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_only_what_runs_is_imported(condition: str) -> None:
    source = f"""
import typing
if {condition}:
    from walt.core.errors import WaltError
else:
    from walt.core.paths import Paths
if WINDOWS:
    import walt.core.log
def late():
    from walt.core import digests
"""
    assert imported_names(source) == (
        "walt.core.paths", "walt.core.paths.Paths", "walt.core.log", "walt.core", "walt.core.digests",
    )  # fmt: skip


def test_imports_are_found_wherever_a_statement_may_be() -> None:
    blocks = (
        "try:\n pass\nexcept OSError:\n {}", "try:\n pass\nexcept* OSError:\n {}", "try:\n pass\nfinally:\n {}",
        "try:\n pass\nexcept OSError:\n pass\nelse:\n {}", "with one:\n {}", "for one in two:\n pass\nelse:\n {}",
        "while one:\n {}", "match one:\n case 1:\n  {}", "class One:\n def two(self):\n  if three:\n   {}",
        "async def one():\n async with two:\n  {}", "if one:\n pass\nelif two:\n {}",
        "async def one():\n async for two in three:\n  {}",
    )  # fmt: skip
    for block in blocks:
        assert imported_names(block.format("import walt.core.log")) == ("walt.core.log",), block


def test_files_are_followed_through_modules_and_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "walt/room").mkdir(parents=True)
    (tmp_path / "walt/room/__init__.py").write_text("")
    (tmp_path / "walt/room/first.py").write_text("from walt.room import second\n")
    (tmp_path / "walt/room/second.py").write_text("import json\nfrom walt.room.third import function\n")
    (tmp_path / "walt/room/third.py").write_text("import walt.room.first\n")
    (tmp_path / "walt/room/other.py").write_text("")
    monkeypatch.setattr(imports, "package_root", lambda: tmp_path)
    assert imported_files("walt.room.first") == ["walt/room/first.py", "walt/room/second.py", "walt/room/third.py"]
    with pytest.raises(AssertionError, match=r"no module walt\.room\.nothing"):
        imported_files("walt.room.nothing")
