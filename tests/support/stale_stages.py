"""Which stages an edit of each file of the package makes stale; run as a module, it writes that down.

The table, ``tests/project/stale_stages.txt``, has a line for each file that some stage depends on; an edit of any other
file leaves every stage fresh. A digest is made again after an edit of each file that was opened to make it; of the
others it cannot depend.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.package_copy import ROOT, copy_package, edit
from walt.core import imports
from walt.project.code_identity import code_digest
from walt.project.registry import STAGES

TABLE = ROOT / "tests/project/stale_stages.txt"
COMMAND = "python -m tests.support.stale_stages"


def edited_one_by_one(package: Path) -> dict[str, tuple[str, ...]]:
    """Edit each file of a copy of the package in turn: file -> stages whose code is another then."""
    files = [file for file in sorted((package / "walt").rglob("*")) if file.suffix in (".py", ".jinja", ".yaml")]
    found: dict[str, tuple[str, ...]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imports, "_file_of", lru_cache(None)(imports._file_of))  # an edit makes and removes no file
        before: dict[str, str] = {}
        reads: dict[str, set[Path]] = {}
        for module in sorted({stage.module for stage in STAGES}):
            with _opened() as reads[module]:
                before[module] = code_digest(module)
        for file in (file.relative_to(package).as_posix() for file in files):
            content = (package / file).read_bytes()
            edit(package, file)
            readers = [module for module, read in reads.items() if package / file in read]
            stale = {module for module in readers if code_digest(module) != before[module]}
            found[file] = tuple(stage.name for stage in STAGES if stage.module in stale)
            (package / file).write_bytes(content)
    return found


_recorded: set[Path] | None = None


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if _recorded is not None and event == "open" and isinstance(arguments[0], str | Path):
        _recorded.add(Path(arguments[0]))


@cache
def _add_hook() -> None:
    """Once, and for good: a hook cannot be removed."""
    sys.addaudithook(_record)


@contextmanager
def _opened() -> Iterator[set[Path]]:
    """The files that are opened meanwhile, by whatever function."""
    global _recorded
    _add_hook()
    _recorded = files = set[Path]()
    try:
        yield files
    finally:
        _recorded = None


def as_text(stages: dict[str, tuple[str, ...]]) -> str:
    """A line for each file with stages."""
    return "".join(f"{file}: {' '.join(names)}\n" for file, names in sorted(stages.items()) if names)


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        TABLE.write_text(as_text(edited_one_by_one(copy_package(Path(folder), monkeypatch))), encoding="utf-8")


if __name__ == "__main__":
    main()
