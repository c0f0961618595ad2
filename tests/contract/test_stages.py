"""One declaration a stage: the registry, the modules, and dvc.yaml must agree."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml import YAML

from walt.core.paths import ARTIFACTS, Paths
from walt.project import dvc_yaml as pipeline
from walt.project.in_process import section_names
from walt.project.params import Params
from walt.project.registry import STAGES, Stage, get_stage, stages_needed_for

ROOT = Path(__file__).resolve().parents[2]
every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


@every_stage
def test_module_has_run_and_the_declared_sections(stage: Stage) -> None:
    module = importlib.import_module(stage.module)
    further = [*(["transformer"] if stage.transformer else []), *(["validator"] if stage.resumes else [])]
    assert list(inspect.signature(module.run).parameters) == ["config", "paths", *further]
    sections = section_names(stage, module.Config)
    assert set(sections.values()) == {*stage.params, *stage.settings}
    for name, field in module.Config.model_fields.items():
        declared = Params.model_fields[sections[name]].annotation
        if sections[name] == name:
            assert field.annotation == declared, f"section {name}"
        else:  # one of a transformer's, whose classes are in the union of all
            assert set(get_args(declared) or [declared]) <= set(get_args(field.annotation)), f"section {name}"


def test_every_section_is_used_by_some_stage() -> None:
    used = {name for stage in STAGES for name in (*stage.params, *stage.settings)}
    assert used | {"promotion", "retrain"} == set(Params.model_fields)


def test_artifacts_are_made_once_and_before_they_are_read() -> None:
    made: set[str] = set()
    for stage in STAGES:
        assert set(stage.inputs) <= made, stage.name
        assert not set(stage.outputs) & made, stage.name
        made |= set(stage.outputs)
    assert made == set(ARTIFACTS)


def test_dvc_yaml_is_what_the_registry_says() -> None:
    assert (ROOT / "dvc.yaml").read_text(encoding="utf-8") == pipeline.render(ROOT), "run `walt pipeline --write`"


@every_stage
def test_dvc_stage_covers_parameters_data_and_code(stage: Stage) -> None:
    entry = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage.name]
    assert entry["cmd"].split(" # ")[0] == f"walt {stage.name}"
    assert set(entry["params"]) == set(stage.params)
    assert {ARTIFACTS[name] for name in stage.inputs} <= set(entry["deps"])
    code = {dep for dep in entry["deps"] if dep.endswith(".py")}
    assert f"{stage.module.replace('.', '/')}.py" in code
    assert all((ROOT / file).is_file() for file in code)
    # a stage does not depend on the whole configuration, so that a knob elsewhere leaves it fresh
    assert "walt/project/params.py" not in code


@pytest.mark.slow
def test_a_model_that_starts_from_another_has_another_command_than_one_that_does_not() -> None:
    """DVC does not notice that a dependency is gone, and starting at random would need no edit of the stage's code."""
    stages = YAML(typ="safe").load(pipeline.render(ROOT))["stages"]
    assert stages["finetune-aspect"]["cmd"] == "walt finetune-aspect # starts from models/base"
    assert [name for name, entry in stages.items() if "#" in entry["cmd"]] == ["finetune-aspect"]


def test_no_training_parameter_reaches_the_encoders() -> None:
    for name in ("ingest", "encode-text", "encode-video"):
        assert not {"base", "train_base", "diffusion", "sr_2x"} & set(get_stage(name).params)
    assert "manifest" not in get_stage("encode-video").inputs  # captions are there


def test_what_a_stage_needs() -> None:
    names = [stage.name for stage in stages_needed_for("train-base")]
    assert names == ["ingest", "train-autoencoder", "caption", "encode-text", "encode-video", "train-base"]
    assert [stage.name for stage in stages_needed_for("report")] == [stage.name for stage in STAGES]


def test_paths_knows_its_artifacts(tmp_path: Path) -> None:
    assert Paths(tmp_path).clips == tmp_path / "data/clips"
    with pytest.raises(AttributeError, match="no artefact is named 'clip'"):
        _ = Paths(tmp_path).clip
