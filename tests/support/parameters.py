"""Parameters of the tiny recipe, changed."""

from __future__ import annotations

from typing import Any

from walt.core.config import parse_section, read_yaml
from walt.project.params import Params
from walt.project.recipes import recipe_path


def params(**changes: Any) -> Params:
    """The tiny recipe with other values for keys of sections: ``dataset__path="..."``."""
    data = read_yaml(recipe_path("tiny"))
    for key, value in changes.items():
        section, _, name = key.partition("__")
        data[section][name] = value
    return parse_section(data, Params, "tiny")
