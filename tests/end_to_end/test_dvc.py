"""``dvc repro`` runs everything, then nothing; a changed parameter reruns exactly what depends on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.project import copy_project, run, tools_of, try_run
from tests.support.tiny_loop import files_of
from tests.support.warm import Warm
from walt.commands.verify.everything import Request
from walt.commands.verify.everything import run as verify
from walt.core.errors import CorruptArtifactError
from walt.core.storage import read_json, replace_file
from walt.core.transformers import TRANSFORMERS
from walt.nn.pretrained import load_config, save_weights
from walt.project.registry import STAGE_NAMES
from walt.project.runner import load_params
from walt.tracking.server import connect
from walt.transformer.config import TransformerConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Path:
    """A project whose every stage is up to date.

    Stages that no other test starts as a process of its own, which imports what they need, are started so here. Others
    do that with the clips and the text (``test_hidden_edits.py``) and with a transformer
    (``tests/project/test_launcher.py``). These, and what the tests run, are forks.
    """
    project = copy_project(tmp_path_factory.mktemp("project"))
    warm.install(project)
    run(project, "dvc", "init", "--no-scm", "--quiet")
    run(project, "walt", "init", "--recipe", "tiny", "--force")
    run(project, "walt", "prepare")
    forks = tools_of(project) / warm.walt.name
    ran = stages_run(project, "encode-text")
    forks.unlink()
    ran += stages_run(project, "encode-video")
    warm.walt.write(forks.parent)
    ran += stages_run(project, *[transformer.stage for transformer in TRANSFORMERS])
    forks.unlink()
    ran += stages_run(project)
    assert sorted(ran, key=STAGE_NAMES.index) == list(STAGE_NAMES)
    warm.walt.write(forks.parent)
    return project


def stages_run(project: Path, *targets: str) -> list[str]:
    """Names of the stages that ``dvc repro`` runs: all, or those that the targets need."""
    output = run(project, "dvc", "repro", *targets)
    started = [line for line in output.splitlines() if line.startswith("Running stage ")]
    return sorted((line.split("'")[1] for line in started), key=STAGE_NAMES.index)


def stale_stages(project: Path) -> list[str]:
    """Names of the stages of which DVC knows a change that they have not seen, without those that follow them."""
    return sorted(json.loads(run(project, "dvc", "status", "--json")), key=STAGE_NAMES.index)


def change(project: Path, file: str, old: str, new: str) -> None:
    text = (project / file).read_text(encoding="utf-8")
    assert old in text
    (project / file).write_text(text.replace(old, new), encoding="utf-8")


def test_a_second_run_does_nothing(project: Path) -> None:
    assert stages_run(project) == []
    assert "up to date" in run(project, "dvc", "status")


def test_a_training_parameter_leaves_the_latents_alone(project: Path) -> None:
    change(project, "params.yaml", "image_fraction: 0.25", "image_fraction: 0.5")  # of all transformers
    assert stale_stages(project) == [transformer.stage for transformer in TRANSFORMERS]


def test_a_caption_setting_leaves_the_video_latents_alone(project: Path) -> None:
    change(project, "params.yaml", "max_tokens: 16", "max_tokens: 12")
    assert stages_run(project, "encode-text", "encode-video") == ["encode-text"]


def test_a_changed_caption_leaves_the_video_latents_alone(project: Path) -> None:
    captions = project / "data/shapes/captions.csv"
    first = captions.read_text(encoding="utf-8").splitlines()[1]
    change(project, "data/shapes/captions.csv", first, f"{first} slowly")
    ran = stages_run(project)
    assert ran == [name for name in STAGE_NAMES if name not in ("train-autoencoder", "encode-video")]


def test_an_edited_module_reruns_its_stages(project: Path) -> None:
    file = project / "walt/sampling/prompt_to_video.py"
    file.write_text(file.read_text(encoding="utf-8") + "\n# a comment\n", encoding="utf-8")
    ran = stages_run(project)
    assert ran[0] == "sample"
    assert "train-base" not in ran


def test_results_are_there(project: Path) -> None:
    assert {"held_out_loss/base", "adherence/both"} <= read_json(project / "results/evaluation.json")["metrics"].keys()
    assert (project / "results/report.html").stat().st_size > 10_000
    assert len(list((project / "results/samples").glob("*.mp4"))) == 4
    assert (project / "mlflow.db").is_file()


def test_the_transformer_becomes_a_model_version_with_an_alias(project: Path) -> None:
    assert "becomes champion" in run(project, "walt", "promote")
    params = load_params(project)
    client = connect(params.tracking, project).client
    for name in ("base", "sr-2x", "autoencoder", "text-encoder"):
        model = f"{params.tracking.model_prefix}-{name}"
        assert client.get_model_version_by_alias(model, params.promotion.alias).name == model


def test_all_is_verified_by_the_stages_records_or_by_what_dvc_knows(project: Path, tmp_path: Path) -> None:
    request = Request(4, 0, tmp_path)
    page = verify(request, project)
    assert page is not None
    assert "decoded clips are nearer to their own clip" in page.read_text(encoding="utf-8")
    for record in project.glob("work/*/outputs.json"):
        record.unlink()
    verify(request, project)  # as on a machine that pulled all
    file = project / "models/base/metrics.json"
    data = file.read_bytes()
    replace_file(file, data.replace(b"1", b"2", 1))
    with pytest.raises(CorruptArtifactError, match=r"models/base/metrics\.json: differs from dvc\.lock"):
        verify(request, project)
    replace_file(file, data)


def test_the_gate_refuses_other_weights_and_measures_the_champion_again(
    project: Path, tmp_path: Path, warm: Warm
) -> None:
    """In a copy, since all stages would have to run again."""
    copy = Path(shutil.copytree(project, tmp_path / "project", symlinks=True))
    warm.install(copy)
    assert "already is champion" in run(copy, "walt", "promote")
    base = copy / "models/base"
    changed = {name: weight + 0.01 for name, weight in load_file(base / "model.safetensors").items()}
    save_weights(base, changed, load_config(base, TransformerConfig))  # new files: DVC may have made them links
    refused = try_run(copy, "walt", "promote")
    assert refused.returncode == 2
    assert "models/base: these are not the weights that were evaluated" in refused.stderr
    change(copy, "params.yaml", "steps: 4 # of DDIM", "steps: 3 # of DDIM")
    run(copy, "walt", "sample")
    run(copy, "walt", "evaluate")
    said = run(copy, "walt", "promote")
    assert re.search(r"walt-base version \d+ is measured again, on what the new one was measured on", said)
    assert re.match(r"walt-base version \d+ does not become champion: adherence/both", said.splitlines()[-1])
    assert run(copy, "walt", "promote").splitlines()[-1:] == said.splitlines()[-1:], "and is kept"
    measured = read_json(copy / "work/promote/champion/results/evaluation.json")
    assert measured["settings"]["sample"]["steps"] == 3
    shutil.rmtree(tools_of(copy))


def test_dvc_shows_the_numbers_and_the_curves(project: Path) -> None:
    (shown,) = json.loads(run(project, "dvc", "metrics", "show", "--json")).values()
    assert all(set(entry) == {"data"} for entry in shown["data"].values()), "an error"
    numbers = {name: entry["data"] for name, entry in shown["data"].items()}
    assert numbers["results/metrics.json"] == read_json(project / "results/metrics.json")
    assert numbers["results/metrics.json"]["adherence/both"] is not None
    assert numbers["models/base/metrics.json"]["steps"] > 0
    curves = json.loads(run(project, "dvc", "plots", "show", "--json"))["data"]
    assert {"autoencoder loss", "base loss"} <= set(curves)


def test_a_typo_is_one_line_and_exit_status_2(project: Path) -> None:
    change(project, "params.yaml", "condition_dropout", "condition_dropuot")
    result = try_run(project, "walt", "train-base")
    change(project, "params.yaml", "condition_dropuot", "condition_dropout")
    assert result.returncode == 2
    assert "did you mean 'condition_dropout'?" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def set_knob(project: Path, section: str, knob: str, value: str) -> None:
    """Another value of a knob of a section of ``params.yaml``."""
    text = (project / "params.yaml").read_text(encoding="utf-8")
    new, count = re.subn(rf"(?ms)^({section}:.*?^ +{knob}:) [^ \n]+", rf"\g<1> {value}", text, count=1)
    assert count == 1
    (project / "params.yaml").write_text(new, encoding="utf-8")


def kill_in_the_middle(project: Path, stage: str, work: Path, step: int, model: Path) -> None:
    """Start a stage under DVC and SIGKILL both after that step's checkpoint; the model is there all the time."""
    command = [Path(sys.executable).with_name("dvc"), "repro", "--single-item", stage]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(project),
    }
    process = subprocess.Popen(
        command, cwd=project, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not [path for path in work.glob("step-*[0-9]") if int(path.name[5:]) >= step]:
            assert process.poll() is None, "it ended too early"
            assert (model / "model.safetensors").is_file()
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_model_stays_while_its_successor_is_trained_and_another_result_is_asked_about(project: Path) -> None:
    model, work = project / "models/base", project / "work/train-base"
    before = files_of(model)
    set_knob(project, "train_base", "steps", "100000")
    kill_in_the_middle(project, "train-base", work, 6, model)
    assert files_of(model) == before
    checkpoints = files_of(work)
    set_knob(project, "train_base", "learning_rate", "0.0123")
    refused = try_run(project, "dvc", "repro", "--single-item", "train-base")
    assert refused.returncode != 0
    assert "exited with 2" in refused.stdout + refused.stderr
    assert re.search(r"another result: train_base\.optimizer\.learning_rate \S+ -> 0\.0123\. Undo this", refused.stderr)
    assert files_of(model) == before
    for file, digest in files_of(work).items():
        assert "step-" not in file or checkpoints[file] == digest
    set_knob(project, "train_base", "steps", "4")
    set_knob(project, "resume", "if_different", "afresh")
    assert stages_run(project, "train-base") == ["train-base"]
    set_knob(project, "resume", "if_different", "refuse")
    assert files_of(model) != before
    newest = max((work / "set-aside").iterdir())  # other tests have set some aside before
    kept = {file: digest for file, digest in checkpoints.items() if re.match(r"step-\d+/", file)}
    assert kept
    assert kept.items() <= files_of(newest).items()
    assert stages_run(project, "train-base") == []
