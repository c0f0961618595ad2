"""Other values for keys of a YAML file whose every other byte stays as its author wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from walt.core.config import yaml_data
from walt.core.errors import ConfigurationError

Plain = str | int | float | bool | None


def with_values(text: str, values: Mapping[str, Plain], source: str) -> str:
    """The text with other values at the dotted keys, which must be there and hold a single value.

    Args:
        source: names the file in errors.

    Raises:
        ConfigurationError: a key is not there, holds a list or mapping, or shares its value with another by an anchor.
    """
    try:
        root = YAML(pure=True).compose(text)
        expected = yaml_data(text)
    except (YAMLError, ValueError) as error:
        raise ConfigurationError(f"{source}: not valid YAML: {str(error).splitlines()[0]}") from error
    places, shared = [], False
    for key, value in values.items():
        path = key.split(".")
        name, node = _find(root, path)
        if name is None or not isinstance(node, ScalarNode):
            raise ConfigurationError(f"{source}: key '{key}': expected a single value there")
        start, end, written = node.start_mark.index, node.end_mark.index, _written(value)
        if start == end:  # nothing stands there, which is null
            start = end = text.index(":", name.end_mark.index) + 1
            written = f" {written}"
        shared |= start < name.end_mark.index  # an alias: the value is elsewhere
        places.append((start, end, written))
        _put(expected, path, value)
    for start, end, written in sorted(places, reverse=True):
        text = text[:start] + written + text[end:]
    if shared or yaml_data(text) != expected:
        raise ConfigurationError(f"{source}: {', '.join(values)}: other keys share their values; write them out")
    return text


def _find(root: Node, path: Sequence[str]) -> tuple[Node | None, Node]:
    """The nodes of a key and its value; the former None where there is no such key."""
    key, node = None, root
    for name in path:
        found = node.value if isinstance(node, MappingNode) else []
        key, node = next((pair for pair in found if pair[0].value == name), (None, root))
        if key is None:
            break
    return key, node


def _put(data: Any, path: Sequence[str], value: Plain) -> None:
    for name in path[:-1]:
        data = data[name]
    data[path[-1]] = value


def _written(value: Plain) -> str:
    """JSON is YAML; a plain word needs no quotes."""
    if isinstance(value, str) and value.replace("-", "").isalpha() and yaml_data(f"a: {value}") == {"a": value}:
        return value
    return json.dumps(value)
