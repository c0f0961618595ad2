"""YAML files that keep their comments, the order of their keys and their quotes when a program changes them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from walt.core.config import read_yaml
from walt.core.storage import write_bytes

_NULL = "tag:yaml.org,2002:null"


def read_commented(path: Path) -> Any:
    """The file's mapping, with its comments. Raises ConfigurationError as ``walt.core.config.read_yaml`` does."""
    read_yaml(path)  # one line for whatever is wrong with it
    return parse_commented(path.read_text(encoding="utf-8"))


def parse_commented(text: str) -> Any:
    """A mapping as YAML, with its comments; of a text that is known to be valid."""
    return _round_trip().load(text)


def yaml_bytes(data: Any) -> bytes:
    """A mapping as YAML, with its comments where it has some; nothing is written as ``null``."""
    buffer = io.BytesIO()
    _round_trip().dump(data, buffer)
    return buffer.getvalue()


def write_yaml(path: Path, data: Any) -> None:
    """Write a mapping, as ``yaml_bytes`` makes it."""
    write_bytes(path, yaml_bytes(data))


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.width = 200
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(_NULL, "null"))
    return yaml
