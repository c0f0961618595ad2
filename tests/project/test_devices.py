"""On how many devices a stage runs: what fits, and what is refused before any work."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.ranks_project import parameters
from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.project.devices import count_ranks, spreads
from walt.project.params import Params
from walt.project.recipes import load_recipe
from walt.project.registry import STAGES, get_stage


def params(**changes: Any) -> Params:
    return parse_section(parameters(**changes), Params, "params.yaml")


def test_one_device_is_one_process() -> None:
    assert {count_ranks(stage, params()) for stage in STAGES} == {1}
    assert count_ranks(get_stage("train-base"), params(compute={"devices": "auto"})) == 1


def test_a_stage_that_spreads_is_several_processes_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = params(compute={"devices": "auto", "device": "auto", "cpu_processes": 2})
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    counts = {stage.name: count_ranks(stage, wide) for stage in STAGES}
    assert {name for name, count in counts.items() if count == 2} == {
        "train-autoencoder", "encode-text", "encode-video", "train-base", "train-sr-2x", "sample", "evaluate",
    }  # fmt: skip
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert {count_ranks(stage, wide) for stage in STAGES} == {1}
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    assert {count_ranks(stage, wide) for stage in STAGES} == {1}


def test_an_autoencoder_trains_in_as_many_processes_as_divide_all_its_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    compute = {"devices": "auto", "device": "auto", "cpu_processes": 5}
    form = {"resolution": [16, 16], "num_frames": 5, "weight": 1.0}
    for batches, accumulation, count in (((4, 8), 1, 4), ((4, 6), 1, 2), ((4, 1), 1, 1), ((4, 8), 2, 2)):
        forms = [{**form, "batch_size": batch} for batch in batches]
        wide = params(compute=compute, train_autoencoder={"forms": forms, "accumulation": accumulation})
        assert count_ranks(get_stage("train-autoencoder"), wide) == count


def test_stages_that_use_accelerators_spread() -> None:
    wide = params(compute={"devices": 2})
    counts = {stage.name: count_ranks(stage, wide) for stage in STAGES}
    assert counts == {
        "ingest": 1, "train-autoencoder": 2, "caption": 1, "encode-text": 2, "encode-video": 2, "train-base": 2,
        "finetune-aspect": 1, "train-sr-2x": 2, "train-sr-4x": 1, "sample": 2, "evaluate": 2, "report": 1,
    }  # fmt: skip
    captioned = wide.model_copy(update={"caption": load_recipe("demo-uncaptioned").caption})
    assert count_ranks(get_stage("caption"), captioned) == 2
    assert count_ranks(get_stage("encode-text"), wide.model_copy(update={"text": None})) == 1


def test_several_machines_are_used_by_what_spreads() -> None:
    wide = params(compute={"nodes": 2})
    alone = {stage.name for stage in STAGES if not spreads(stage, wide)}
    assert alone == {"ingest", "caption", "finetune-aspect", "train-sr-4x", "report"}, "these run here all the same"


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        (
            "train-base",
            {},
            "batch_size is 8, which 3 devices do not divide: the nearest that fit are 6 and 9; "
            "as it is, 2 devices divide it (compute.devices)",
        ),
        (
            "train-base",
            {"train_base": {"batch_size": 8, "accumulation": 4}},
            "batch_size is 8, which 3 devices times accumulation 4 do not divide: the nearest that fits is 12; "
            "as it is, 2 devices divide it (compute.devices)",
        ),
        (
            "train-autoencoder",
            {},
            "forms.0.batch_size is 4, which 3 devices do not divide: the nearest that fit are 3 and 6; "
            "as it is, 2 devices divide it (compute.devices)",
        ),
        (
            "train-base",
            {"train_base": {"batch_size": 8, "accumulation": 8}},
            "batch_size is 8, which 3 devices times accumulation 8 do not divide: the nearest that fits is 24; "
            "as it is, 1 device divides it (compute.devices)",
        ),
    ],
)
def test_batches_that_devices_do_not_divide(stage: str, changes: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        count_ranks(get_stage(stage), params(compute={"devices": 3}, **changes))
    assert str(refused.value) == f"{stage.replace('-', '_')}.{message}"


def test_an_autoencoder_that_is_frozen_needs_one_process() -> None:
    frozen = params(compute={"devices": 2}, train_autoencoder={"frozen": "models:/walt-autoencoder@champion"})
    assert count_ranks(get_stage("train-autoencoder"), frozen) == 1


def test_gpus_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    stage = get_stage("train-base")
    assert count_ranks(stage, params(compute={"device": "auto", "devices": "auto"})) == 2
    with pytest.raises(ConfigurationError, match=r"^compute.devices is 4, but this machine has 2 GPUs$"):
        count_ranks(stage, params(compute={"device": "auto", "devices": 4}))


def test_a_sharded_model_is_called_equally_often_on_all_devices() -> None:
    stage, wide = get_stage("train-base"), {"devices": 4, "sharding": "full"}
    assert count_ranks(stage, params(compute={"devices": 2, "sharding": "full"})) == 2
    assert count_ranks(get_stage("train-autoencoder"), params(compute=wide)) == 4
    with pytest.raises(ConfigurationError, match=r"is 2 stacks of images, .* the nearest that fit are 0 and 4$"):
        count_ranks(stage, params(compute=wide))
