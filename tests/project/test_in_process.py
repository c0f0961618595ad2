"""What a stage's module is called with: it may be changed by nothing on the way, which is in no stage's identity."""

from __future__ import annotations

import importlib

import pytest

from walt.project.in_process import section_names, stage_config
from walt.project.recipes import load_recipe
from walt.project.registry import STAGES, Stage


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_gets_sections_as_they_are_in_the_parameters(stage: Stage) -> None:
    params = load_recipe("demo")
    module = importlib.import_module(stage.module)
    config = stage_config(stage, module, params)
    names = section_names(stage, module.Config)
    assert set(names.values()) <= {*stage.params, *stage.settings}, "DVC watches what it is given"
    for field, section in names.items():
        assert getattr(config, field) is getattr(params, section)
