"""``walt describe --memory``: recipes fit, knobs that break that are found, and plans are what is really held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.settings import changed, recipe
from tests.support.tiny_vision_language import write_vision_language_model
from walt.captioning.vision_language import VisionLanguageModel, asked
from walt.cli import app
from walt.commands.describe import planned_steps, planned_text, stage_memory
from walt.commands.describe.command import bytes_of
from walt.commands.describe.planned_autoencoder import autoencoder_training_peaks
from walt.commands.describe.planned_look import transformer_look_peaks
from walt.commands.describe.planned_sampling import sampling_peaks
from walt.commands.describe.planned_steps import Peaks, by_layers, continued
from walt.commands.describe.planned_training import parts_of_step, sharded, training_peaks
from walt.commands.describe.stage_memory import Limits, StageMemory, plan_stages
from walt.core.errors import ConfigurationError
from walt.diffusion.schedule import Schedule
from walt.project.params import Params
from walt.project.recipes import recipe_names

CARD = Limits.of_machine(80 * 2**30, 128 * 2**30)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["describe", *arguments])


def planned_stages(params: Params, limits: Limits = CARD) -> dict[str, StageMemory]:
    return {stage.stage: stage for stage in plan_stages(params, Path.cwd(), 1, limits)}


def peaks_of_base(params: Params, devices: int = 1) -> Peaks:
    tokens = params.text.max_tokens if params.text else 0
    return training_peaks(params.base, params.train_base, Schedule.from_config(params.diffusion), tokens, devices)


def largest(peaks: Peaks) -> int:
    return max(sum(kinds.values()) for kinds in peaks.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*recipe_names()} - {"tiny"}))
def test_every_recipe_fits_a_card_of_80_gb(name: str) -> None:
    stages = planned_stages(recipe(name))
    assert {"train-autoencoder", "encode-video", "train-base", "sample", "evaluate"} <= set(stages)
    for stage in stages.values():
        assert stage.device or stage.stage == "caption", stage.stage  # whose model is not on this machine
        assert stage.device_bytes <= 72 * 2**30, (stage.stage, stage.device)
        assert stage.host_bytes <= 96 * 2**30, (stage.stage, stage.host)
        assert not stage.advice


@pytest.mark.slow
def test_every_stage_of_the_largest_model_fits() -> None:
    """The 3 B model at its largest grid: the one stage of the slow test that comes closest."""
    params = recipe("t2v")
    architecture, training = params.transformers()["aspect"]
    peaks = training_peaks(architecture, training, Schedule.from_config(params.diffusion), 64, 1)
    weights = max(kinds["weights"] for kinds in peaks.values())
    assert pytest.approx(weights, rel=1e-3) == 3.09e9 * 4
    assert CARD.fits(peaks)


@pytest.mark.slow  # the two below do the same in small
def test_a_knob_that_breaks_the_plan_is_found_and_what_would_mend_it() -> None:
    params = changed(recipe("ucf101"), train_base={"accumulation": 1})
    stage = stage_memory._train_transformer(params, stage_memory.TRANSFORMERS[0], 1, CARD)
    assert stage.device_bytes > 2 * CARD.device
    assert stage.advice == ["train_base.accumulation: 8", "train_base.activation_checkpointing: true"]
    assert CARD.fits(peaks_of_base(changed(params, train_base={"accumulation": 8})))
    assert CARD.fits(peaks_of_base(changed(params, train_base={"activation_checkpointing": True})))
    assert not CARD.fits(peaks_of_base(changed(params, train_base={"accumulation": 4})))


@pytest.mark.slow
def test_a_budget_of_pixels_that_is_too_large_is_found() -> None:
    params = changed(recipe("imagenet"), compute={"megapixels_at_once": 128.0})
    stage = stage_memory._encode_video(params, CARD)
    assert stage.device_bytes > CARD.device
    assert stage.advice == ["compute.megapixels_at_once: 32"]
    assert not stage_memory._encode_video(changed(params, compute={"megapixels_at_once": 32.0}), CARD).advice
    assert stage_memory._encode_video(changed(params, compute={"megapixels_at_once": 64.0}), CARD).advice


@pytest.mark.slow
def test_the_autoencoders_step_in_too_few_parts_is_found() -> None:
    params = changed(recipe("tiny"), train_autoencoder={"accumulation": 1, "validation": None})
    whole = largest(autoencoder_training_peaks(params.autoencoder, params.train_autoencoder, Path.cwd(), 1))
    limits = Limits(whole - 1, 2**40)
    stage = stage_memory._train_autoencoder(params, Path.cwd(), 1, limits)
    assert stage.advice[0] == "train_autoencoder.accumulation: 2"
    assert not stage_memory._train_autoencoder(params, Path.cwd(), 1, Limits(whole, 2**40)).advice


@pytest.mark.slow
def test_a_frozen_autoencoder_takes_what_measuring_it_does() -> None:
    params = changed(recipe("tiny"), train_autoencoder={"frozen": "somewhere"})
    stage = stage_memory._train_autoencoder(params, Path.cwd(), 1, CARD)
    assert set(stage.device) == {"encode 16x16", "decode 16x16", "encode 32x64", "decode 32x64"}
    assert not any(kinds["gradients"] for kinds in stage.device.values())


def test_an_encoder_that_is_not_here_has_no_numbers() -> None:
    params = changed(recipe("tiny"), text={"encoder": "someone/another-t5"})
    assert planned_text.text_peaks(params.text, Path.cwd()) is None  # type: ignore[arg-type]
    known = changed(recipe("t2v").text)
    peaks = planned_text.text_peaks(known, Path.cwd())
    assert peaks is not None
    assert peaks["text"]["weights"] == pytest.approx(1.2236e9 * 2, rel=1e-3)


@pytest.mark.slow  # the straight line itself is below
@pytest.mark.parametrize(("layers", "checkpointing"), [(5, False), (8, True)])
def test_few_layers_continued_are_all_layers(layers: int, checkpointing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    params = changed(
        recipe("tiny"), base={"layers": layers},
        train_base={
            "precision": "bf16", "activation_checkpointing": checkpointing, "accumulation": 2, "batch_size": 8,
            "optimizer": {"name": "adafactor"},
        },
    )  # fmt: skip
    found = peaks_of_base(params)
    sampled = sampling_peaks(params, "base")
    monkeypatch.setattr(planned_steps, "_FEWEST_LAYERS", layers)
    assert found == peaks_of_base(params)
    assert sampled == sampling_peaks(params, "base")


@pytest.mark.slow  # the straight line itself is below
def test_few_parts_continued_are_all_parts() -> None:
    forms = [
        {"resolution": [16, 16], "num_frames": 9, "batch_size": 12, "weight": 1},
        {"resolution": [32, 64], "num_frames": 1, "batch_size": 6, "weight": 1},
    ]
    params = changed(recipe("tiny"), train_autoencoder={"forms": forms, "accumulation": 6, "precision": "bf16"})

    def peaks() -> Peaks:
        return autoencoder_training_peaks(params.autoencoder, params.train_autoencoder, Path.cwd(), 1)

    found = peaks()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("walt.commands.describe.planned_autoencoder._FEWEST_PARTS", 6)
        counted = peaks()
    assert found.keys() == counted.keys()
    for phase, kinds in found.items():  # some scalars, such as the terms' sums, come from the second part on
        assert kinds == pytest.approx(counted[phase], rel=1e-3), phase


def test_what_is_continued_is_a_straight_line() -> None:
    def of(number: int) -> Peaks:
        return {"a phase": {"weights": 3 * number + 1, "activations": 5}}

    assert continued(20, of, 4, 2) == of(20)
    assert by_layers(21, of) == of(21)


def test_parts_of_a_step() -> None:
    training = changed(recipe("t2v").train_base, batch_size=16, accumulation=4, image_fraction=0.25)
    assert parts_of_step(training, 1) == [(4, 0), (4, 0), (4, 0), (0, 4)]
    assert parts_of_step(training, 2) == [(2, 0), (2, 0), (2, 0), (0, 2)]
    assert parts_of_step(changed(training, accumulation=2), 1) == [(8, 0), (4, 4)]


@pytest.mark.slow
def test_shares_of_a_sharded_model() -> None:
    params = recipe("tiny")
    whole = peaks_of_base(params)
    shared = sharded(whole, params.base, 4)
    for phase, kinds in shared.items():
        assert kinds["optimizer"] == -(-whole[phase]["optimizer"] // 4)
        assert kinds["activations"] == whole[phase]["activations"]
        assert kinds["weights"] > whole[phase]["weights"] // 4  # and what is gathered


@pytest.mark.slow
def test_one_stages_plan_as_json_and_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan_base(params: Params, root: Path, devices: int, limits: Limits) -> Iterator[StageMemory]:
        yield stage_memory._train_transformer(params, stage_memory.TRANSFORMERS[0], devices, limits)

    monkeypatch.setattr(stage_memory, "plan_stages", plan_base)
    document = json.loads(run("--recipe", "tiny", "--memory", "80GB", "--json").stdout)
    assert document["limits"]["device"] == 72 * 2**30
    base = document["stages"]["train-base"]
    assert base["fits"]
    assert base["device_bytes"] == largest(base["device"]) > 0
    assert "train-base does not fit" in run("--recipe", "tiny", "--memory", "80GB", "--host-memory", "0.1GB").stdout
    shared = json.loads(run("--recipe", "tiny", "--memory", "80GB", "--devices", "2", "--json").stdout)
    assert shared["stages"]["train-base"]["parts"].endswith("clips in each of 2 devices")


@pytest.mark.slow
def test_json_and_table(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[StageMemory] = []

    def plan_once(*arguments: Any) -> Iterator[StageMemory]:
        if not planned:
            planned.extend(plan_stages(*arguments))
        yield from planned

    monkeypatch.setattr(stage_memory, "plan_stages", plan_once)
    result = run("--recipe", "tiny", "--memory", "80GB", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["limits"] == {"device": 72 * 2**30, "host": 96 * 2**30}
    assert all(stage["fits"] for stage in document["stages"].values())
    base = document["stages"]["train-base"]
    assert base["device_bytes"] == max(sum(kinds.values()) for kinds in base["device"].values())
    page = run("--recipe", "tiny", "--memory", "80GB", "--host-memory", "1GB")
    assert page.exit_code == 0
    assert "train-base does not fit" in page.stdout
    assert "3 checkpoints" in page.stdout


def test_devices_that_cannot_share_a_batch_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="16 devices times accumulation 16 do not divide"):
        next(plan_stages(recipe("t2v"), Path.cwd(), 16, CARD))


@pytest.mark.slow
def test_devices_that_share_a_batch_are_planned() -> None:
    fewer = changed(recipe("t2v"), train_autoencoder={"accumulation": 1})
    assert next(plan_stages(fewer, Path.cwd(), 16, CARD)).device_bytes < CARD.device


@pytest.mark.parametrize("text", ["", "0", "-1", "80 GHz", "eighty", "80MB"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--memory"):
        bytes_of(text, "--memory")


def test_sizes() -> None:
    assert bytes_of("80GB", "") == bytes_of("80", "") == bytes_of("80 GiB", "") == 80 * 2**30
    assert bytes_of("0.5g", "") == 2**29


@pytest.fixture(scope="module")
def held_by_a_processor() -> dict[str, dict[str, int]]:
    """For each case of the program, what was planned and what was measured, in bytes."""
    threshold = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.measured_memory"]
    done = subprocess.run(command, env={**os.environ, **threshold}, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", ["base step", "autoencoder step", "encode", "decode"])
def test_what_is_planned_is_what_a_processor_holds(case: str, held_by_a_processor: dict[str, dict[str, int]]) -> None:
    """Within 15 %: oneDNN's workspaces and the allocator's own are not planned."""
    found = held_by_a_processor[case]
    assert found["planned"] > 200 * 2**20
    assert found["measured"] == pytest.approx(found["planned"], rel=0.15)


@pytest.mark.slow
def test_a_look_during_training_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    params, base = changed(recipe("tiny"), train_base={"validation": {"samples": 2}}), stage_memory.TRANSFORMERS[0]
    step: Peaks = {"forward": {"weights": 100, "optimizer": 300, "gradients": 100, "batch": 1, "activations": 1}}
    monkeypatch.setattr(stage_memory, "training_peaks", lambda *_: step)
    stage = stage_memory._train_transformer(params, base, 1, CARD)
    looks = {phase: kinds for phase, kinds in stage.device.items() if phase not in step}
    assert set(looks) == {"look, loss", "look, sample", "look, decode"}
    for phase, kinds in looks.items():
        assert (kinds["optimizer"], kinds["gradients"]) == (300, 0)
        assert (kinds["weights"] > 200) == (phase == "look, decode")  # the average is in the model's place
        assert kinds["activations"] > 0
    fewer = changed(params, train_base={"validation": {"samples": 1}, "ema_decay": 0.0})
    sample = transformer_look_peaks(fewer, base, step, 1)["look, sample"]
    assert sample["activations"] < looks["look, sample"]["activations"]
    assert sample["weights"] == 100
    without = stage_memory._train_transformer(changed(params, train_base={"validation": None}), base, 1, CARD)
    assert (without.device, without.host, without.disk) == (step, stage.host, stage.disk)
    too_few = Limits(max(sum(kinds.values()) for kinds in looks.values()) - 1, 2**40)
    assert stage_memory._train_transformer(params, base, 1, too_few).advice == ["train_base.validation: null"]


@pytest.mark.slow
def test_an_autoencoders_look_is_counted() -> None:
    params = changed(recipe("tiny"), compute={"megapixels_at_once": 10.0})
    stage = stage_memory._train_autoencoder(params, Path.cwd(), 1, CARD)
    looks = {f"look, {work} {size}" for work in ("encode", "decode") for size in ("16x16", "32x64")}
    assert looks < set(stage.device)
    few = Limits(max(sum(stage.device[phase].values()) for phase in looks) - 1, 2**40)
    assert "train_autoencoder.validation: null" in stage_memory._train_autoencoder(params, Path.cwd(), 1, few).advice


def test_a_captioner_is_counted_with_what_it_is_given(tmp_path: Path) -> None:
    write_vision_language_model(tmp_path / "captioner")
    values = {
        "model": "captioner",
        "frames": 2,
        "batch_size": 3,
        "max_tokens": 5,
        "precision": "fp32",
        "prompt": "what",
    }
    params = recipe("demo-uncaptioned")
    assert params.caption is not None
    config = params.caption.model_copy(update=values)
    stage = stage_memory._caption(params, config, tmp_path)
    model = VisionLanguageModel(config, "cpu", tmp_path)
    inputs = asked(model._processor, config, [np.zeros((2, 64, 64, 3), np.uint8)] * 3)
    assert stage.device["captions"]["weights"] == 4 * sum(p.numel() for p in model._model.parameters())
    assert stage.device["captions"]["batch"] == 4 * inputs["pixel_values"].numel()
    tokens = inputs["input_ids"].shape[1]
    remembered = 4 * 3 * (tokens + 5) * 2 * 2 * 16  # of two layers, keys and values of 16
    assert remembered < stage.device["captions"]["activations"] < 10 * remembered
    assert not stage_memory._caption(params, config.model_copy(update={"model": "some/where"}), tmp_path).device


def test_the_stage_that_captions_is_planned_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_train_autoencoder", "_encode_video", "_encode_text", "_train_transformer", "_sample", "_evaluate"):
        monkeypatch.setattr(stage_memory, name, lambda *_: StageMemory("x", "", {}, {}, {}))
    rule = recipe("demo-uncaptioned")
    for params, planned in (
        (changed(rule, caption={"model": "some/where"}), True),
        (rule, False),  # it reads pixels
        (recipe("demo"), False),
    ):
        assert ("caption" in [stage.stage for stage in plan_stages(params, Path.cwd(), 1, CARD)]) == planned
