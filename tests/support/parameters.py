"""Parameters of the tiny recipe, changed."""

from __future__ import annotations

from typing import Any

from walt.core.config import parse_section
from walt.project.params import Params
from walt.project.recipes import recipe_data


def params(**changes: Any) -> Params:
    """The tiny recipe with other values for keys of sections: ``dataset__path="..."``."""
    data: dict[str, Any] = recipe_data("tiny")
    for key, value in changes.items():
        section, _, name = key.partition("__")
        data[section][name] = value
    return parse_section(data, Params, "tiny")
