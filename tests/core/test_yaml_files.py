"""YAML that keeps comments, and leaves other users of the library alone."""

from __future__ import annotations

from io import StringIO

from ruamel.yaml import YAML

from walt.core.yaml_files import parse_commented, yaml_bytes


def test_nothing_is_written_as_null_here_and_nowhere_else() -> None:
    assert yaml_bytes({"a": None}) == b"a: null\n"
    stream = StringIO()
    YAML().dump({"a": None}, stream)
    assert stream.getvalue() == "a:\n", "the library's own way is what it was"


def test_comments_and_quotes_stay() -> None:
    text = "a: 'x' # why\nb: 1\n"
    data = parse_commented(text)
    data["b"] = 2
    assert yaml_bytes(data).decode() == text.replace("b: 1", "b: 2")
