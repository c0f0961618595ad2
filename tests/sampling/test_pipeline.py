"""The recipe from prompts to videos, on untrained models of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny_models import BASE, DIFFUSION, SAMPLE, TEXT, write_models
from walt.core.errors import ConfigurationError
from walt.diffusion.schedule import Schedule
from walt.sampling.pipeline import Pipeline, TextCondition, guided_predict, sample_latents
from walt.transformer.io import save_transformer
from walt.transformer.model import WaltTransformer

PROMPTS = ["a red circle", "a green circle", "a red square"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_models(root)
    return root


def load(folder: Path, **changes: Any) -> Pipeline:
    arguments: dict[str, Any] = {
        "text_encoder": folder / "models/text-encoder",
        "autoencoder": folder / "models/autoencoder",
        "base": folder / "models/base",
        "super_resolution": folder / "models/sr-2x",
        "diffusion": DIFFUSION,
        "device": "cpu",
        "root": folder,
    }
    return Pipeline.load(**(arguments | changes))


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return load(folder)


def test_shapes_and_range(pipeline: Pipeline) -> None:
    batch = pipeline(PROMPTS, 0, SAMPLE)
    assert batch.prompts == tuple(PROMPTS)
    assert batch.videos.shape == (3, 3, 5, 32, 32)
    assert batch.base_videos is not None
    assert batch.base_videos.shape == (3, 3, 5, 16, 16)
    for videos in (batch.videos, batch.base_videos):
        assert videos.isfinite().all()
        assert videos.abs().max() <= 1.0


def test_without_a_cascade_the_base_is_the_result(folder: Path, pipeline: Pipeline) -> None:
    single = SAMPLE.model_copy(update={"cascade": False})
    batch = load(folder, super_resolution=None)(PROMPTS, 0, single)
    full = pipeline(PROMPTS, 0, SAMPLE)
    assert batch.base_videos is None
    assert full.base_videos is not None
    assert torch.equal(batch.videos, full.base_videos)


def test_noise_belongs_to_seed_and_index_not_to_the_batch(pipeline: Pipeline) -> None:
    together = pipeline(PROMPTS, 3, SAMPLE)
    alone = pipeline(PROMPTS[2:], 3, SAMPLE, first_index=2)
    assert torch.allclose(together.videos[2], alone.videos[0], atol=1e-4)
    assert torch.equal(pipeline(PROMPTS, 3, SAMPLE).videos, together.videos)
    elsewhere = pipeline(PROMPTS[2:], 3, SAMPLE, first_index=0)
    assert not torch.allclose(alone.videos, elsewhere.videos, atol=1e-3)
    other_seed = pipeline(PROMPTS, 4, SAMPLE)
    assert not torch.allclose(other_seed.videos, together.videos, atol=1e-3)


def test_eta_adds_noise_that_belongs_to_seed_and_index(pipeline: Pipeline) -> None:
    ancestral = SAMPLE.model_copy(update={"eta": 1.0})
    first = pipeline(PROMPTS, 0, ancestral).videos
    assert torch.allclose(pipeline(PROMPTS[1:], 0, ancestral, first_index=1).videos, first[1:], atol=1e-4)
    assert not torch.allclose(pipeline(PROMPTS, 0, SAMPLE).videos, first, atol=1e-3)


def test_the_prompt_matters(pipeline: Pipeline) -> None:
    red = pipeline(["a red circle"], 0, SAMPLE).videos
    green = pipeline(["a green circle"], 0, SAMPLE).videos
    assert not torch.allclose(red, green, atol=1e-3)


def test_progress_counts_model_steps(pipeline: Pipeline) -> None:
    counts: list[int] = []
    pipeline(PROMPTS, 0, SAMPLE, progress=counts.append)
    assert counts == [len(PROMPTS)] * (2 * SAMPLE.steps)


def test_width_of_text_must_fit(folder: Path, tmp_path: Path) -> None:
    save_transformer(tmp_path, WaltTransformer(BASE.model_copy(update={"text_width": TEXT.tiny.width + 8})))
    with pytest.raises(ConfigurationError, match="wide"):
        load(folder, base=tmp_path)


class Recorder:
    """Stands for a transformer: notes what it is given and answers with the sum of the text."""

    config = BASE

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(
        self, x: torch.Tensor, steps: torch.Tensor, text: torch.Tensor, mask: torch.Tensor, **given: Any
    ) -> Any:
        self.calls.append({"x": x, "steps": steps, "text": text, "mask": mask, **given})
        return torch.ones_like(x) * text.sum((1, 2)).view(-1, 1, 1, 1, 1)


def condition(batch: int) -> TextCondition:
    mask = torch.ones(batch, 4, dtype=torch.bool)
    return TextCondition(torch.full((batch, 4, 8), 1 / 32), mask, torch.zeros(1, 4, 8), mask[:1])


@pytest.mark.parametrize(("scale", "expected", "rows"), [(1.0, 1.0, 2), (3.0, 3.0, 4)])
def test_guidance_is_one_batch(scale: float, expected: float, rows: int) -> None:
    model, schedule = Recorder(), Schedule.from_config(DIFFUSION)
    predict = guided_predict(model, schedule, condition(2), scale)  # type: ignore[arg-type]
    output = predict(torch.zeros(2, 4, 2, 2, 2), 99)
    assert torch.allclose(output, torch.full_like(output, expected))  # uncond 0 + scale * (cond 1 - 0)
    assert [len(call["x"]) for call in model.calls] == [rows]


def test_the_last_estimate_is_the_next_self_condition() -> None:
    model, schedule = Recorder(), Schedule.from_config(DIFFUSION)
    predict = guided_predict(model, schedule, condition(2), 3.0)  # type: ignore[arg-type]
    x = torch.randn(2, 4, 2, 2, 2)
    output = predict(x, 99)
    predict(x, 50)
    assert model.calls[0]["self_condition"] is None
    estimate = schedule.predict_x0(output, x, torch.tensor([99, 99]))
    assert torch.equal(model.calls[1]["self_condition"], torch.cat([estimate, estimate]))


def test_a_perfect_model_is_followed() -> None:
    """With the true velocity of a known clean latent, the sampler ends at that latent."""
    schedule, truth = Schedule.from_config(DIFFUSION), torch.randn(1, 4, 2, 2, 2)

    class Oracle(Recorder):
        def __call__(self, x: torch.Tensor, steps: torch.Tensor, *rest: Any, **given: Any) -> torch.Tensor:
            signal, sigma = schedule.coefficients(steps, x)
            noise = (x - signal * truth) / sigma
            return schedule.target(truth.expand_as(x), noise, steps)

    found = sample_latents(Oracle(), schedule, condition(2), ["a", "b"], 0, SAMPLE, 1.0)  # type: ignore[arg-type]
    assert torch.allclose(found, truth.expand_as(found), atol=1e-4)
