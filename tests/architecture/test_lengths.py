"""Files and functions stay short enough to be read at a sitting; an exception needs a page in docs/decisions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("walt", "flows", "benchmarks", "infra")
MOST_LINES_OF_A_FILE = 350
MOST_LINES_OF_A_FUNCTION = 60
"""From ``def`` to its last line, docstring included; decorators are not counted."""


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """(name, lines) of the functions and methods that have too many, nested ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_LINES_OF_A_FUNCTION:
                yield node.name, lines


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_and_no_function_is_too_long(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        text, name = file.read_text(encoding="utf-8"), file.relative_to(ROOT)
        assert len(text.splitlines()) <= MOST_LINES_OF_A_FILE, name
        assert not list(long_functions(text)), name


def test_a_long_function_is_seen_wherever_it_is() -> None:
    body = "\n".join(["        x = 1"] * 60)
    assert list(long_functions(f"class A:\n    async def method(self):\n{body}")) == [("method", 61)]
    assert list(long_functions("def short():\n    x = 1\n" + "y = 2\n" * 100)) == []
