"""Sections of the parameters for tests: those of a recipe, with changes, so that a new knob touches no test."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel

from walt.core.config import Section, parse_section
from walt.project.params import Params
from walt.project.recipes import load_recipe

SectionT = TypeVar("SectionT", bound=Section)


@cache
def recipe(name: str = "tiny") -> Params:
    """A recipe's parameters; read once, since they cannot be changed."""
    return load_recipe(name)


def changed(section: SectionT, **changes: Any) -> SectionT:
    """A section with other values, checked; a mapping changes keys of a section in it, ``optimizer={"name": ...}``."""
    data = section.model_dump(mode="json")
    _merge(data, changes)
    return parse_section(data, type(section), type(section).__name__)


def _merge(data: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        below = data.get(name)
        if isinstance(value, BaseModel):
            data[name] = value.model_dump(mode="json")
        elif isinstance(value, dict) and isinstance(below, dict):
            _merge(below, value)
        else:
            data[name] = value


def sections_in(annotation: object) -> list[type[BaseModel]]:
    """The sections that a field may hold: directly, or in a list, a union or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in sections_in(argument)]
