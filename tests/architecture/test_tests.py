"""How the tests themselves are built: what they share is in ``tests/support``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEST_MODULE = re.compile(r"\btests(?:\.\w+)*\.(?:test_\w+|conftest)\b|\bfrom\s+tests(?:\.\w+)*\s+import\s.*\btest_\w+")
"""A module of tests, as an import or as text: what child processes run and monkeypatch names are strings."""


def modules_of_tests(source: str) -> Iterator[str]:
    """Modules of tests that a source text imports or names in a string that is not a docstring."""
    if "tests" not in source.replace("tests.support", ""):
        return  # parsing takes most of the time
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            text = ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            text = node.value
        else:
            continue
        yield from TEST_MODULE.findall(text)


@pytest.mark.parametrize(
    "folder", sorted({file.parent for file in (ROOT / "tests").rglob("*.py")}), ids=lambda f: f.name
)
def test_a_test_file_imports_no_other_test_file(folder: Path) -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in folder.glob("*.py") if file != Path(__file__)}
    assert not {file: found for file, text in texts.items() if (found := list(modules_of_tests(text)))}


@pytest.mark.parametrize(
    "bad",
    [
        "from tests.stages.test_ingest import run",
        "from tests.stages import test_ingest",
        "from tests.stages import helpers, test_ingest as ingest",
        "import tests.tracking.conftest",
        "def f():\n    from tests.tracking.conftest import CONFIG",
        "SCRIPT = 'import os; from tests.stages.test_ingest import *'",
        "patch('tests.stages.test_ingest.ROWS', ())",
        "script = f'from tests.stages.test_ingest import {name}'",
    ],
)
def test_an_import_of_a_test_file_is_seen(bad: str) -> None:
    assert list(modules_of_tests(bad))


def properties_with_a_deadline(source: str) -> list[str]:
    """Names of property tests that fail where an example takes long."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    decorators = {node.name: [ast.unparse(decorator) for decorator in node.decorator_list] for node in functions}
    return [
        name
        for name, texts in decorators.items()
        if any(text.startswith("given(") for text in texts)
        and not any(text.startswith("settings(") and "deadline=None" in text for text in texts)
    ]


def test_no_property_test_fails_on_a_busy_machine() -> None:
    texts = {file.name: file.read_text(encoding="utf-8") for file in sorted((ROOT / "tests").rglob("test_*.py"))}
    found = {name: properties_with_a_deadline(text) for name, text in texts.items() if "given(" in text}
    assert found
    assert not {name: tests for name, tests in found.items() if tests}


def test_a_deadline_is_seen() -> None:
    assert properties_with_a_deadline("@given(1)\n@settings(max_examples=5)\ndef test_a() -> None: ...") == ["test_a"]
    assert not properties_with_a_deadline("@settings(deadline=None)\n@given(1)\ndef test_a() -> None: ...")


def test_an_import_of_a_helper_is_allowed() -> None:
    good = '"""Like tests.stages.test_ingest."""\nfrom tests.support.places import place\nimport tests.support.latest'
    assert not list(modules_of_tests(good))
