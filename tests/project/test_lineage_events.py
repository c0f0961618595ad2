"""What OpenLineage's events say of a stage: what it reads and makes, with digests that its reader finds again."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.openlineage import REASON, Event, ask_for_file, read_events
from tests.support.tracking import CONFIG
from walt.core.errors import StorageError
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.core.transformers import Transformer
from walt.data.partitions import write_parts
from walt.data.shards import write_index, write_shard
from walt.project.lineage_events import inputs_of, outputs_of, stage_events
from walt.project.params import Params
from walt.project.recipes import load_recipe, recipe_text
from walt.project.registry import get_stage
from walt.project.runner import run_stage
from walt.stages import train_transformer
from walt.tracking import server
from walt.tracking.runs import start_run

CLIPS = pa.schema([("source_sha256", pa.string()), ("split", pa.string())])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Clips, a manifest and a model, as the stages leave them."""
    monkeypatch.chdir(tmp_path)
    paths = Paths(tmp_path)
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    (tmp_path / "datasets").mkdir()
    (tmp_path / load_recipe("tiny").dataset.descriptor).write_text("name: x\n")
    rows = [{"source_sha256": f"{number:064x}", "split": "train"} for number in range(3)]
    for folder in (paths.clips, paths.latents):
        tars = [write_shard(folder / "32x32/clips-000000.tar", [("a", {"json": b"{}"})])]
        write_index(folder / "32x32", "x", tars)
        pq.write_table(pa.Table.from_pylist(rows, schema=CLIPS), folder / "clips.parquet")
    write_parts(paths.manifest, [(0, rows[:2]), (1, rows[2:])], CLIPS)
    _write_model(paths.base)
    leave_out(paths.aspect, "aspect")
    return paths


def _write_model(folder: Path) -> None:
    write_json(folder / "config.json", {"width": 3})
    (folder / "model.safetensors").write_bytes(b"weights")


def _params() -> Params:
    return load_recipe("tiny")


def test_what_a_stage_makes_has_the_version_that_its_reader_sees(project: Paths) -> None:
    made = {one.location: one for one in outputs_of(get_stage("ingest"), _params(), project.root)}
    read = {one.location: one for one in inputs_of(get_stage("sample"), _params(), project.root)}
    for folder, kind in ((project.clips, "FILE"), (project.manifest, "TABLE")):
        assert made[str(folder)] == read[str(folder)]
        assert (made[str(folder)].kind, made[str(folder)].rows) == (kind, 3)
        assert made[str(folder)].columns == (("source_sha256", "string"), ("split", "string"))
    assert read[str(project.base)].kind == "MODEL"
    assert read[str(project.base)].version == f"sha256:{server.folder_digest(project.base)}", (
        "as MLflow's version has it"
    )
    assert str(project.aspect) not in read, "left out"
    assert str(project.root / _params().dataset.descriptor) in read


@pytest.mark.parametrize("what", ["a tar", "a row", "a weight"])
def test_another_content_is_another_version(project: Paths, what: str) -> None:
    def versions() -> list[str | None]:
        return [one.version for one in inputs_of(get_stage("sample"), _params(), project.root)]

    before = versions()
    if what == "a tar":
        tars = [write_shard(project.clips / "32x32/clips-000000.tar", [("a", {"json": b"[]"})])]
        write_index(project.clips / "32x32", "x", tars)
    elif what == "a row":
        write_parts(project.manifest, [(0, [{"source_sha256": "0" * 64, "split": "held_out"}])], CLIPS)
    else:
        (project.base / "model.safetensors").write_bytes(b"Weights")
    assert sum(old != new for old, new in zip(before, versions(), strict=True)) == 1


def test_the_copy_of_the_clips_on_a_server_is_made_too(project: Paths) -> None:
    params = _params()
    params = params.model_copy(update={"ingest": params.ingest.model_copy(update={"output": "s3://bucket/clips"})})
    assert [one.location for one in outputs_of(get_stage("ingest"), params, project.root)][-1] == "s3://bucket/clips"


def test_a_copy_for_an_experiment_has_the_projects_names(project: Paths, tmp_path: Path) -> None:
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmpx"
    _write_model(Paths(copy).base)
    [model] = [one for one in inputs_of(get_stage("sample"), _params(), copy) if one.kind == "MODEL"]
    assert model.location == str(project.base)


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_a_stages_run_is_told_with_the_run_that_mlflow_has_of_it(
    project: Paths, monkeypatch: pytest.MonkeyPatch, empty_database: Path, fails: bool
) -> None:
    pytest.importorskip("openlineage.client", reason=REASON)
    file = ask_for_file(monkeypatch, project.root)
    (project.root / "mlflow.db").write_bytes(empty_database.read_bytes())
    known: list[str | None] = []

    def run(config: train_transformer.Config, paths: Paths, transformer: Transformer, validator: Any) -> dict[str, int]:
        with start_run(CONFIG, paths.root, "train-base", {}, {}) as tracked:
            known.append(tracked.run_id)
            if fails:
                raise StorageError("the disk is full")
            _write_model(paths.base)
        return {}

    monkeypatch.setattr(train_transformer, "run", run)
    try:
        run_stage(get_stage("train-base"), project.root)
    except StorageError:
        assert fails
    start, end = read_events(file)
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["job"]["name"] == "walt.train-base"
    assert end["eventType"] == ("FAIL" if fails else "COMPLETE")
    assert _names(end["inputs"]) == [str(project.latents)]
    assert _names(end["outputs"]) == ([] if fails else [str(project.base)])
    tags = {tag["key"]: tag["value"] for tag in end["run"]["facets"]["tags"]["tags"]}
    assert tags.get("mlflow.run_id") == (None if fails else known[0])


def test_no_event_of_a_stage_has_a_credential(
    project: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of those in its settings, in the environment and in what it fails with."""
    pytest.importorskip("openlineage.client", reason=REASON)
    file = ask_for_file(monkeypatch, project.root)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:planted-variable")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"https://me:planted-parent@host/flow/{uuid4()}")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "https://me:planted-namespace@host")
    params = _params()
    listed, copy = (
        "https://me:pl@nted/path#1@host/list.csv?X-Amz-Signature=planted-query",
        "s3://me:planted-copy@b/clips",
    )
    params = params.model_copy(
        update={
            "dataset": params.dataset.model_copy(update={"path": listed}),
            "ingest": params.ingest.model_copy(update={"output": copy}),
        }
    )
    with stage_events(get_stage("ingest"), params, project.root):
        pass
    with pytest.raises(StorageError), stage_events(get_stage("ingest"), params, project.root):
        raise StorageError(f"{listed}: 403 for admin:planted-variable")
    text = file.read_text() + capsys.readouterr().out
    assert [word for word in ("planted", "pl@nted", "nted/path", "path#1") if word in text] == []
    start, complete, _, fail = read_events(file)
    [read] = [one for one in start["inputs"] if one["namespace"] != "file"]
    assert (read["namespace"], read["name"]) == ("https://host", "list.csv")
    assert (complete["outputs"][-1]["namespace"], complete["outputs"][-1]["name"]) == ("s3://b", "clips")
    said = fail["run"]["facets"]["errorMessage"]["message"]
    assert said == "StorageError: https://***@host/list.csv?X-Amz-Signature=*** 403 for ***"


def _names(datasets: list[Event]) -> list[str]:
    return [dataset["name"] for dataset in datasets]
