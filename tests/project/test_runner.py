"""What a stage is started with. The runner is in no stage's identity, so it may change nothing on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from walt.cli import app
from walt.commands.run_stage import run_and_show, shown
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, StorageError
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json
from walt.core.transformers import Transformer
from walt.data.shards import write_index, write_shard
from walt.project import cluster, runner
from walt.project.params import Params
from walt.project.recipes import recipe_text
from walt.project.registry import STAGES, Stage, get_stage
from walt.project.runner import load_params, run_stage
from walt.stages import encode_text, train_transformer
from walt.training.validation import Validator


def test_a_choice_reaches_the_stage_and_afresh_sets_aside_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    work = Paths(tmp_path).work("train-base")
    found: list[tuple[str, bool]] = []

    def run(
        config: train_transformer.Config, paths: Paths, transformer: Transformer, validator: Validator
    ) -> dict[str, int]:
        found.append((config.resume.if_different, (work / "step-000000002").exists()))
        return {}

    monkeypatch.setattr(train_transformer, "run", run)
    (work / "step-000000002").mkdir(parents=True)
    for choice in (None, "go-on", "afresh"):
        run_stage(get_stage("train-base"), tmp_path, choice)
    assert found == [("refuse", True), ("go-on", True), ("afresh", False)]
    assert (work / "set-aside/0001/step-000000002").is_dir()
    assert read_json(work / "set-aside/0001/why.json")["why"] == "asked for by --afresh"


def test_parameters_that_were_changed_while_a_stage_ran_do_not_become_those_of_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, stage, before = tmp_path / "params.yaml", get_stage("encode-text"), recipe_text("tiny")
    now = [before]

    def run(config: encode_text.Config, paths: Paths) -> dict[str, int]:
        params.write_text(now[-1], encoding="utf-8")
        return {}

    monkeypatch.setattr(encode_text, "run", run)
    monkeypatch.setattr(runner, "record_outputs", lambda *_: recorded.append(now[-1]))
    monkeypatch.setattr(runner, "prepare_inputs", lambda *_: None)
    recorded: list[str] = []
    for text in (before, before + "# a remark\n", before.replace("  max_tokens: 16", "  max_tokens: 8")):
        params.write_text(before, encoding="utf-8")
        now.append(text)
        if "max_tokens: 16" in text:
            run_stage(stage, tmp_path)
            continue
        said = r"^params\.yaml was changed while encode-text ran \(text\): what it made is of the values before"
        with pytest.raises(ConfigurationError, match=said):
            run_stage(stage, tmp_path)
    assert len(recorded) == 2, "and it is not finished"


def test_what_a_stage_made_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")

    def run(config: encode_text.Config, paths: Paths) -> dict[str, int]:
        write_index(paths.text, "x", [write_shard(paths.text / "text-all.tar", [("a", {"json": b"{}"})])])
        write_json(paths.text_encoder / "encoder.json", {"width": 3})
        return {}

    monkeypatch.setattr(encode_text, "run", run)
    run_stage(get_stage("encode-text"), tmp_path)
    record = Paths(tmp_path).work("encode-text") / "outputs.json"
    expected = {
        name: {"bytes": (tmp_path / name).stat().st_size, "sha256": sha256_file(tmp_path / name)}
        for name in ("data/text/shards.parquet", "models/text-encoder/encoder.json")
    }
    assert read_json(record)["files"] == expected, "the index has the digest of the tar"


def test_locks_that_other_machines_do_not_see_are_said_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    monkeypatch.setattr(encode_text, "run", lambda *_: {})
    run_stage(get_stage("encode-text"), tmp_path)
    assert "locks hold" not in capsys.readouterr().out
    asked: list[Path] = []
    monkeypatch.setattr(runner, "option_of_local_locks", lambda path: asked.append(path) or "nolock")
    run_stage(get_stage("encode-text"), tmp_path)
    said = "warning: encode-text: locks hold on this machine alone (nolock): start it on no other one meanwhile"
    assert said in capsys.readouterr().out.replace("\n", " ")
    assert asked == [Paths(tmp_path).work("encode-text")]


def test_an_output_that_cannot_be_written_is_known_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training may take weeks until it publishes its model."""
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    done: list[int] = []
    monkeypatch.setattr(encode_text, "run", lambda *_: done.append(1) or {})
    allowed, closed = os.access, tmp_path / "models"

    def access(path: Path, mode: int) -> bool:
        return path != closed and allowed(path, mode)

    (tmp_path / "models").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", access)
        with pytest.raises(StorageError, match=f"{closed}: cannot be written"):
            run_stage(get_stage("encode-text"), tmp_path)
        closed = tmp_path / "data/text"
        closed.mkdir(parents=True)
        with pytest.raises(StorageError, match=f"{closed}: cannot be written"):
            run_stage(get_stage("encode-text"), tmp_path)
    (tmp_path / "models/text-encoder").symlink_to(tmp_path / "disk/text-encoder")
    with pytest.raises(StorageError, match=r"models/text-encoder: a link to .*, where nothing is"):
        run_stage(get_stage("encode-text"), tmp_path)
    assert not done
    (tmp_path / "disk/text-encoder").mkdir(parents=True)
    run_stage(get_stage("encode-text"), tmp_path)
    assert done


@pytest.mark.parametrize(
    ("output", "stage"),
    [("models/text-encoder", "encode-text"), ("results/metrics.json", "evaluate"), ("work/encode-text", "encode-text")],
)
def test_what_is_in_an_outputs_way_is_known_before_the_work(
    output: str, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where a folder is made, or a folder where a file is."""
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    monkeypatch.setattr(runner, "_run_locked", lambda *_: pytest.fail("it has begun"))
    if output.endswith(".json"):
        (tmp_path / output).mkdir(parents=True)
    else:
        (tmp_path / output).parent.mkdir(parents=True)
        (tmp_path / output).touch()
    with pytest.raises(StorageError, match=rf"^{tmp_path / output}: .*move it away$"):
        run_stage(get_stage(stage), tmp_path)
    assert (tmp_path / output).exists()


def test_what_killed_starts_left_half_written_goes_at_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    left = [
        "data/text.7.tmp/a.tar",
        "models/text-encoder.7.tmp/weights",
        "work/encode-text/lineage/sources.parquet.7.tmp",
    ]
    others = ["models/base.7.tmp/weights", "data/text/written.json"]
    for name in (*left, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(encode_text, "run", lambda *_: {})
    run_stage(get_stage("encode-text"), tmp_path)
    assert [name for name in left if (tmp_path / name).exists()] == []
    assert all((tmp_path / name).exists() for name in others)


def test_on_several_machines_nothing_is_set_aside_before_they_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = recipe_text("tiny")
    assert "nodes: 1 " in text
    (tmp_path / "params.yaml").write_text(text.replace("nodes: 1 ", "nodes: 2 "), encoding="utf-8")
    checkpoint = Paths(tmp_path).work("train-base") / "step-000000002"
    checkpoint.mkdir(parents=True)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigurationError, match=r"needs a Ray cluster"):
        run_stage(get_stage("train-base"), tmp_path, "afresh")
    assert checkpoint.is_dir()

    def launch(stage: Stage, params: Params, root: Path, begin: Callable[[], None]) -> dict[str, str]:
        begin()
        assert not checkpoint.exists()
        return {"found": params.resume.if_different}

    monkeypatch.setattr(cluster, "launch_on_cluster", launch)
    assert run_stage(get_stage("train-base"), tmp_path, "afresh") == {"found": "afresh"}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_stages_that_train_take_the_choice(stage: Stage) -> None:
    command = typer.main.get_command(app).commands[stage.name]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts}
    trains = stage.name.startswith(("train-", "finetune-"))
    assert stage.resumes == trains
    assert ({"--go-on", "--afresh"} <= options) == trains


def test_a_stage_whose_input_is_not_there_yet_says_what_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    said = "data/manifest is what `walt ingest` makes; `dvc repro ingest` runs all that this needs"
    with pytest.raises(StorageError, match=f"no such file; {said}"):
        run_and_show("encode-text")


def test_both_choices_at_once_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"--go-on and --afresh: one of them"):
        run_and_show("train-base", go_on=True, afresh=True)


def test_in_a_folder_of_a_project_its_place_is_said(tmp_path: Path) -> None:
    inside = tmp_path / "data/clips"
    inside.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"params\.yaml: no such file; `walt init` writes it$"):
        load_params(inside)
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigurationError, match=f"no such file; the project .* is {tmp_path}: go there$"):
        load_params(inside)


def test_a_stages_figures_are_shown_as_people_read_them() -> None:
    assert shown("rejects", {"too_short": 4, "black": 1}) == "too_short 4, black 1"
    assert shown("rejects", {}) == "none"
    assert shown("bytes", {"16x16": 71680, "64x128": 5 << 20}) == "16x16 70 KiB, 64x128 5 MiB"
    assert (shown("mmd", 12345.6), shown("loss", 0.123456), shown("steps", 4)) == ("12346", "0.1235", "4")
