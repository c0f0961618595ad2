"""One declaration a stage: the registry, the modules, dvc.yaml and params.yaml must agree."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml import YAML

from walt.core.config import load_section
from walt.core.paths import ARTIFACTS, Paths
from walt.core.transformers import TRANSFORMERS
from walt.ingest.config import Descriptor
from walt.project import dvc_yaml as pipeline
from walt.project.code_identity import code_dependencies
from walt.project.params import Params
from walt.project.recipes import recipe_names, recipe_path
from walt.project.registry import STAGES, Stage, get_stage, stages_needed_for
from walt.project.runner import section_names

TRAINED = {transformer.stage for transformer in TRANSFORMERS}

ROOT = Path(__file__).resolve().parents[2]
every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


@every_stage
def test_module_has_run_and_the_declared_sections(stage: Stage) -> None:
    module = importlib.import_module(stage.module)
    further = ["transformer"] if stage.transformer else []
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
    assert used | {"promotion"} == set(Params.model_fields)


def test_artifacts_are_made_once_and_before_they_are_read() -> None:
    made: set[str] = set()
    for stage in STAGES:
        assert set(stage.inputs) <= made, stage.name
        assert not set(stage.outputs) & made, stage.name
        made |= set(stage.outputs)
    assert made == set(ARTIFACTS)


def test_dvc_yaml_is_what_the_registry_says() -> None:
    assert (ROOT / "dvc.yaml").read_text(encoding="utf-8") == pipeline.render(), "run `walt pipeline --write`"


@every_stage
def test_dvc_stage_covers_parameters_data_and_code(stage: Stage) -> None:
    entry = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage.name]
    assert entry["cmd"] == f"walt {stage.name}"
    assert set(entry["params"]) == set(stage.params)
    assert {ARTIFACTS[name] for name in stage.inputs} <= set(entry["deps"])
    code = {dep for dep in entry["deps"] if dep.endswith(".py")}
    assert f"{stage.module.replace('.', '/')}.py" in code
    assert all((ROOT / file).is_file() for file in code)
    # a stage does not depend on the whole configuration, so that a knob elsewhere leaves it fresh
    assert "walt/project/params.py" not in code


@pytest.mark.parametrize("name", ["ingest", "encode-text", "train-base", "sample", "report"])
def test_code_dependencies_are_what_python_loads(name: str) -> None:
    """Not the generator against itself: the files that importing the stage's module really reads."""
    module = get_stage(name).module
    code = f"import {module}, sys; print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'walt'))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    files = {Path(file).relative_to(ROOT).as_posix() for file in loaded.split() if not file.endswith("__init__.py")}
    files -= {file for file in files if file.startswith("walt/tracking/")} | {"walt/core/environment.py"}  # tracking's
    assert len(files) > 5
    assert files <= set(code_dependencies(module))


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("walt/text/tiny.py", {"encode-text"}),
        ("walt/workers/execute.py", {"ingest"}),
        ("walt/autoencoder/losses.py", {"train-autoencoder"}),
        ("walt/training/diffusion_objective.py", TRAINED),
        ("walt/diffusion/samplers.py", {"sample"}),
        ("walt/stages/report.py", {"report"}),
    ],
)
def test_editing_a_module_makes_exactly_its_stages_stale(file: str, stale: set[str]) -> None:
    assert (ROOT / file).is_file()
    assert {stage.name for stage in STAGES if file in code_dependencies(stage.module)} == stale


def test_no_training_parameter_reaches_the_encoders() -> None:
    for name in ("ingest", "encode-text", "encode-video"):
        assert not {"base", "train_base", "diffusion", "sr_2x"} & set(get_stage(name).params)
    assert "manifest" not in get_stage("encode-video").inputs  # captions stand there


def test_what_a_stage_needs() -> None:
    names = [stage.name for stage in stages_needed_for("train-base")]
    assert names == ["ingest", "train-autoencoder", "encode-text", "encode-video", "train-base"]
    assert [stage.name for stage in stages_needed_for("report")] == [stage.name for stage in STAGES]


def test_params_is_the_demo_recipe() -> None:
    assert (ROOT / "params.yaml").read_bytes() == recipe_path("demo").read_bytes()


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_valid(name: str) -> None:
    params = load_section(recipe_path(name), Params)
    load_section(ROOT / params.dataset.descriptor, Descriptor)


def test_paths_knows_its_artifacts(tmp_path: Path) -> None:
    assert Paths(tmp_path).clips == tmp_path / "data/clips"
    with pytest.raises(AttributeError, match="no artefact is named 'clip'"):
        _ = Paths(tmp_path).clip
