"""Packages that mypy does not read are none of whose types something here depends on."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MYPY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
IN_PARTS = {"diffusers.*"}
"""Typed so loosely that what comes from there is taken for Any."""


def patterns(follow: str) -> set[str]:
    """Patterns of modules for which mypy is told that."""
    overrides = (entry for entry in MYPY["overrides"] if entry.get("follow_imports") == follow)
    return {pattern for entry in overrides for pattern in entry["module"]} - IN_PARTS


def _is_below(name: str, pattern: str) -> bool:
    return pattern.endswith(".*") and f"{name}.".startswith(pattern.removesuffix("*"))


def is_unread(name: str) -> bool:
    """Whether mypy reads nothing of the module or object of that dotted name."""

    def closest(follow: str) -> int:
        found = (pattern for pattern in patterns(follow) if name == pattern or _is_below(name, pattern))
        return max((len(pattern.removesuffix(".*")) for pattern in found), default=0)

    return closest("skip") > closest("normal")


def imported(source: str) -> Iterator[str]:
    """Dotted names that a source text imports, of modules and of what is in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", MYPY["packages"])
def test_what_is_imported_is_read_by_mypy(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        unread = {name for name in imported(file.read_text(encoding="utf-8")) if is_unread(name)}
        assert not unread, f"{file.relative_to(ROOT)}: for mypy these are Any (pyproject.toml)"


@pytest.mark.parametrize(
    ("source", "unread"),
    [
        ("import pandas as pd", True),
        ("def f():\n    from pandas.core import frame", True),
        ("from transformers.models import bert", True),
        ("from transformers.models.bert import BertModel", True),
        ("from transformers.models.t5 import T5Config", False),
        ("from transformers import T5Config", False),
        ("import pandas_of_ours", False),
    ],
)
def test_an_import_that_mypy_does_not_read_is_seen(source: str, unread: bool) -> None:
    assert any(map(is_unread, imported(source))) is unread
