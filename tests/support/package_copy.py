"""A copy of the package that a test may edit, and which stages an edit makes stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from walt.core import imports

ROOT = Path(__file__).resolve().parents[2]


def copy_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy ``walt/`` into ``folder``, which code identity takes for the package's root from now on."""
    shutil.copytree(ROOT / "walt", folder / "walt", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(imports, "package_root", lambda: folder)
    return folder


def edit(folder: Path, file: str) -> None:
    """Append something that counts to a file of the copy: a statement, where it is Python."""
    added = {".py": "_EDITED = True\n", ".jinja": "{# edited #}\n"}.get(Path(file).suffix, "# edited\n")
    with open(folder / file, "a", encoding="utf-8") as stream:
        stream.write(added)


def edit_comment(folder: Path, file: str) -> None:
    """Append a comment to a Python file of the copy."""
    with open(folder / file, "a", encoding="utf-8") as stream:
        stream.write("# edited\n")
