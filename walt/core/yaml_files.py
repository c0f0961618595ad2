"""Reads and writes YAML files without losing comments, the order of keys or quotes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from walt.core.config import read_yaml

_NULL = "tag:yaml.org,2002:null"


def read_commented(path: Path) -> Any:
    """The file's mapping, with its comments. Raises ConfigurationError as ``walt.core.config.read_yaml`` does."""
    read_yaml(path)  # reports any error in one line
    return parse_commented(path.read_text(encoding="utf-8"))


def parse_commented(text: str) -> Any:
    """The mapping in a text that is known to be valid YAML, with its comments."""
    return _round_trip().load(text)


def yaml_bytes(data: Any) -> bytes:
    """A mapping as YAML, with its comments if it has some; None is written as ``null``."""
    buffer = io.BytesIO()
    _round_trip().dump(data, buffer)
    return buffer.getvalue()


class _Representer(RoundTripRepresenter):
    """Writes nothing as ``null``. A class of its own: representers belong to the class, so to every other YAML too."""


_Representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(_NULL, "null"))


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.width = 200
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.Representer = _Representer
    return yaml
