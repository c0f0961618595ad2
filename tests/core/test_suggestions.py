"""What is said of a name that is wrong."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from walt.core.suggestions import did_you_mean, nearest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "otherwise", "ending"),
    [
        ("tinny", "", "; did you mean 'tiny'?"),
        ("tinny", "there are demo, tiny", "; did you mean 'tiny'?"),
        ("xyz", "there are demo, tiny", "; there are demo, tiny"),
        ("xyz", "", ""),
    ],
)
def test_a_message_ends_with_the_nearest_name_or_with_what_there_is(name: str, otherwise: str, ending: str) -> None:
    assert did_you_mean(name, iter(["demo", "tiny"]), otherwise) == ending


def test_the_cutoff_is_the_smallest_accepted_similarity() -> None:
    assert nearest("abxx", ["abcd"]) == "abcd"
    assert nearest("abxx", ["abcd"], cutoff=0.6) is None
    assert nearest("abcd", []) is None


def test_a_name_that_is_not_utf8_can_be_printed() -> None:
    assert did_you_mean("name", ["nam\udcff"]) == "; did you mean 'nam\\xff'?"


def test_no_other_module_searches_for_similar_names() -> None:
    texts = {file: file.read_text(encoding="utf-8") for top in ("walt", "flows") for file in (ROOT / top).rglob("*.py")}
    users = [file for file, text in texts.items() if "difflib" in text for node in ast.walk(ast.parse(text))
             if isinstance(node, ast.Import) and any(alias.name == "difflib" for alias in node.names)]  # fmt: skip
    assert [file.relative_to(ROOT).as_posix() for file in users] == ["walt/core/suggestions.py"]
