"""A stage's work in this process: its module is called with its sections of the parameters."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from walt.core.config import Section
from walt.core.paths import Paths
from walt.project.params import Params
from walt.project.registry import Stage

if TYPE_CHECKING:
    from walt.training.validation import Validator


def run_here(stage: Stage, params: Params, root: Path) -> dict[str, Any]:
    """The stage's work in this process, or a rank's share of it. The lock must be held, by this process or the one that
    started the ranks. Raises as ``run_stage``."""
    module, paths = importlib.import_module(stage.module), Paths(root)
    arguments: list[Any] = [stage_config(stage, module, params), paths]
    if stage.transformer:
        arguments.append(stage.transformer)
    if stage.resumes:
        arguments.append(_validator(stage, params, paths))
    result: dict[str, Any] = module.run(*arguments)
    return result


def _validator(stage: Stage, params: Params, paths: Paths) -> Validator:
    """What looks at a model while the stage trains it."""
    if stage.transformer:
        from walt.project.transformer_validation import TransformerValidation  # here: only some stages need torch

        return partial(TransformerValidation.make, params, paths, stage.transformer)
    from walt.project.autoencoder_validation import AutoencoderValidation

    return partial(AutoencoderValidation.make, params, paths)


def stage_config(stage: Stage, module: ModuleType, params: Params) -> Section:
    """The sections that a stage's module declares, taken from the whole."""
    config: type[Section] = module.Config
    sections = section_names(stage, config)
    return config.model_construct(**{field: getattr(params, section) for field, section in sections.items()})


def section_names(stage: Stage, config: type[Section]) -> dict[str, str]:
    """Field of a stage's ``Config`` -> section of ``params.yaml``: the same name, except a transformer's two."""
    names = {field: field for field in config.model_fields}
    if stage.transformer:
        names |= {"architecture": stage.transformer.name, "training": stage.transformer.training}
    return names
