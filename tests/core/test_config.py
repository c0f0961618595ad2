"""Reading YAML: what a reader gets is its own, and a file that changed is read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from walt.core.config import read_yaml, yaml_data
from walt.core.errors import ConfigurationError


def test_what_one_reader_changes_no_other_sees(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: {b: [1, 2]}\n")
    first = read_yaml(file)
    first["a"]["b"].append(3)
    first["c"] = None
    assert read_yaml(file) == {"a": {"b": [1, 2]}}
    value = yaml_data("[1, [2]]")
    value[1].append(3)
    assert yaml_data("[1, [2]]") == [1, [2]]


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    for text, data in (("a: 1\n", {"a": 1}), ("a: 2\n", {"a": 2}), ("a: 1\n", {"a": 1})):
        file.write_text(text)
        assert read_yaml(file) == data


def test_what_is_wrong_is_said_each_time(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("a: 1\na: 2\n")
        with pytest.raises(ConfigurationError, match=f"{name}, line 2: the key 'a' is there twice"):
            read_yaml(tmp_path / name)


def test_a_value_that_is_there_twice_is_one_value_in_what_is_read() -> None:
    data = yaml_data("a: &here [1]\nb: *here\n")
    assert data["a"] is data["b"]
