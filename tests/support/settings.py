"""Sections of the parameters for tests: those of a recipe, with changes, so that a new knob touches no test."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel

from walt.core.compute import ComputeConfig
from walt.core.config import Section, parse_section
from walt.project.params import Params
from walt.project.recipes import load_recipe
from walt.training.config import LoopConfig

SectionT = TypeVar("SectionT", bound=Section)


@cache
def recipe(name: str = "tiny") -> Params:
    """A recipe's parameters; read once, since they cannot be changed."""
    return load_recipe(name)


def changed(section: SectionT | None, **changes: Any) -> SectionT:
    """A section with other values, checked; a mapping changes keys of a section in it, ``optimizer={"name": ...}``."""
    assert section is not None, "the recipe does without this section"
    data = section.model_dump(mode="json")
    _merge(data, changes)
    return parse_section(data, type(section), type(section).__name__)


def loop_settings(**changes: Any) -> LoopConfig:
    """What every training has, as the tiny recipe's base model has it, with other values."""
    section = recipe().train_base
    return changed(LoopConfig(**{name: getattr(section, name) for name in LoopConfig.model_fields}), **changes)


def compute_settings(**changes: Any) -> ComputeConfig:
    """The section ``compute``: one process on the processor, which decodes by itself, with some keys changed."""
    return changed(recipe().compute, **{"backend": "inline", "device": "cpu", "devices": 1, **changes})


def _merge(data: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        below = data.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            _merge(below, value)
        else:
            data[name] = _plain(value)


def _plain(value: Any) -> Any:
    """A value as it is in a file: sections as mappings."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def sections_in(annotation: object) -> list[type[BaseModel]]:
    """The sections that a field may hold: directly, or in a list, a union or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in sections_in(argument)]
