"""The recipe from prompts to videos, on untrained models of a few thousand weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.tiny_models import BASE, DIFFUSION, SAMPLE, SECOND, TEXT, drawn, write_models
from walt.core.errors import ConfigurationError
from walt.diffusion.samplers import Predict
from walt.diffusion.schedule import Schedule
from walt.nn.pretrained import weights_digest
from walt.sampling.denoise import Conditioning, Guidance, LowResolution, NoiseStream, guided_predict, sample_latents
from walt.sampling.prompt_inputs import Conditions, TextCondition, make_conditions
from walt.sampling.prompt_to_video import Beginning, Pipeline
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer, save_transformer

PROMPTS = ["a red circle", "a green circle", "a red square"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    write_models(root)
    return root


def load(folder: Path, **changes: Any) -> Pipeline:
    arguments: dict[str, Any] = {
        "text_encoder": folder / "models/text-encoder",
        "autoencoder": folder / "models/autoencoder",
        "normalized": True,
        "transformers": {"base": folder / "models/base", "sr_2x": folder / "models/sr-2x"},
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
    batch = load(folder, transformers={"base": folder / "models/base"})(PROMPTS, 0, single)
    full = pipeline(PROMPTS, 0, SAMPLE)
    assert batch.base_videos is None
    assert full.base_videos is not None
    assert torch.equal(batch.videos, full.base_videos)


@pytest.mark.slow
def test_a_second_super_resolution_model_follows_the_first(folder: Path, pipeline: Pipeline, tmp_path: Path) -> None:
    save_transformer(tmp_path, drawn(WaltTransformer(SECOND), 4))
    models = {"base": folder / "models/base", "sr_2x": folder / "models/sr-2x", "sr_4x": tmp_path}
    whole, first = load(folder, transformers=models), pipeline(PROMPTS, 0, SAMPLE)
    counts: list[int] = []
    batch = whole(PROMPTS, 0, SAMPLE, progress=counts.append)
    assert [videos.shape for videos in batch.cascade] == [(3, 3, 5, side, side) for side in (16, 32, 64)]
    assert all(torch.equal(a, b) for a, b in zip(batch.cascade[:2], first.cascade, strict=True))
    assert counts == [len(PROMPTS)] * (3 * SAMPLE.steps)
    assert set(whole.versions) == {*models, "autoencoder", "text_encoder"}
    del models["sr_2x"]  # it was trained to follow another
    with pytest.raises(ConfigurationError, match=r"^sr_4x: it makes \(64, 64\) .* but base makes \(16, 16\)$"):
        load(folder, transformers=models)


@pytest.mark.slow
def test_noise_belongs_to_seed_and_index_not_to_the_batch(pipeline: Pipeline) -> None:
    together = pipeline(PROMPTS, 3, SAMPLE)
    alone = pipeline(PROMPTS[2:], 3, SAMPLE, indices=[2])
    assert torch.allclose(together.videos[2], alone.videos[0], atol=1e-4)
    assert torch.equal(pipeline(PROMPTS, 3, SAMPLE).videos, together.videos)
    for other in (pipeline(PROMPTS[2:], 3, SAMPLE), pipeline(PROMPTS[2:], 3, SAMPLE, indices=[2], part=1)):
        assert not torch.allclose(alone.videos, other.videos, atol=1e-3)
    seeds = pipeline(PROMPTS, [5, 4, 3], SAMPLE, indices=[0, 0, 2])
    assert torch.allclose(seeds.videos[2], alone.videos[0], atol=1e-4)
    other_seed = pipeline(PROMPTS, 4, SAMPLE)
    assert not torch.allclose(other_seed.videos, together.videos, atol=1e-3)


def test_eta_adds_noise_that_belongs_to_seed_and_index(pipeline: Pipeline) -> None:
    ancestral = SAMPLE.model_copy(update={"eta": 1.0})
    first = pipeline(PROMPTS, 0, ancestral).videos
    assert torch.allclose(pipeline(PROMPTS[1:], 0, ancestral, indices=[1, 2]).videos, first[1:], atol=1e-4)
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
        load(folder, transformers={"base": tmp_path, "sr_2x": folder / "models/sr-2x"})


def test_versions_are_the_weights(folder: Path, pipeline: Pipeline) -> None:
    assert set(pipeline.versions) == {"base", "sr_2x", "autoencoder", "text_encoder"}
    assert pipeline.versions["base"] == weights_digest(folder / "models/base")
    assert len(set(pipeline.versions.values())) == 4


CLASSES = BASE.model_copy(
    update={"conditioning": "class", "num_classes": 3, "text_width": None, "cross_attention": None}
)
FRAMES = BASE.model_copy(
    update={"frame_prediction": True, "latent_grid": (3, 2, 2), "spatiotemporal_window": (3, 2, 2)}
)
SINGLE = SAMPLE.model_copy(update={"cascade": False})


def with_base(folder: Path, tmp_path: Path, config: TransformerConfig) -> Pipeline:
    """The pipeline with a base model of ``config`` and without super-resolution."""
    save_transformer(tmp_path, drawn(WaltTransformer(config), 5))
    return load(folder, transformers={"base": tmp_path})


def test_classes(folder: Path, tmp_path: Path) -> None:
    pipeline = with_base(folder, tmp_path, CLASSES)
    assert pipeline.text_encoder is None
    videos = pipeline([0, 2], 0, SINGLE, indices=[0, 0]).videos
    assert videos.shape == (2, 3, 5, 16, 16)
    assert not torch.allclose(videos[0], videos[1], atol=1e-3)
    for wrong, message in ((3, r"class 3: the model's classes are 0 to 2"), ("a cat", "takes a class, not 'a cat'")):
        with pytest.raises(ConfigurationError, match=message):
            pipeline([wrong], 0, SINGLE)


def test_models_of_different_conditions_do_not_follow_one_another(folder: Path, tmp_path: Path) -> None:
    save_transformer(tmp_path, WaltTransformer(CLASSES))
    with pytest.raises(ConfigurationError, match="conditioning is text"):
        load(folder, transformers={"base": tmp_path, "sr_2x": folder / "models/sr-2x"})


def test_given_frames_are_the_first_latents(folder: Path, tmp_path: Path) -> None:
    pipeline = with_base(folder, tmp_path, FRAMES)
    given = torch.rand(2, 3, 5, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for frames in (1, 5):
        beginning = Beginning((given[:, :, :frames],))
        videos = pipeline(PROMPTS[:2], 0, SINGLE, beginning=beginning).videos
        assert videos.shape == (2, 3, 9, 16, 16)
        rendered = pipeline.decode(pipeline.encode(beginning.cascade[0]), "fp32")  # the decoder is causal
        assert torch.allclose(videos[:, :, :frames], rendered, atol=1e-2)  # the models' weights are wild
        other = pipeline(PROMPTS[:2], 0, SINGLE, beginning=Beginning((-given[:, :, :frames],))).videos
        assert (videos - other)[:, :, frames:].abs().max() > 0.1


@pytest.mark.usefixtures("bf16_on_any_processor")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_how_much_is_decoded_or_encoded_at_once_changes_no_bit(pipeline: Pipeline, precision: str) -> None:
    """Videos of 9 frames whole, and in pieces of a latent frame; alone and beside others."""
    latents = torch.randn(3, 4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    videos = pipeline.decode(latents, precision)
    encoded = pipeline.encode(videos)
    calls: list[tuple[int, ...]] = []
    hook = pipeline.autoencoder.decoder.register_forward_pre_hook(
        lambda module, inputs: calls.append((len(inputs[0]), inputs[0].shape[2]))
    )
    in_pieces = replace(pipeline, megapixels=1e-6)
    assert torch.equal(in_pieces.decode(latents, precision), videos)
    assert torch.equal(in_pieces.encode(videos), encoded)
    assert calls == [(1, 2), (1, 1)] * 3
    assert torch.equal(pipeline.decode(latents[1:2], precision), videos[1:2])
    hook.remove()


@pytest.mark.usefixtures("bf16_on_any_processor")
def test_bf16_is_of_the_models_and_of_the_decoder_and_little_differs(pipeline: Pipeline) -> None:
    """What a layer of each network gives is bf16; the videos are fp32, and near those of fp32."""
    seen: dict[str, set[torch.dtype]] = {}
    layers = {
        "base": pipeline.base.patch_out, "sr": pipeline.super_resolutions[0].patch_out,
        "decoder": pipeline.autoencoder.decoder.middle[0].conv1,
    }  # fmt: skip
    hooks = [
        layer.register_forward_hook(lambda *found, name=name: seen.setdefault(name, set()).add(found[2].dtype))
        for name, layer in layers.items()
    ]
    videos = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        seen.clear()
        made = pipeline(PROMPTS[:2], 0, SAMPLE.model_copy(update={"precision": precision}))
        assert seen == {name: {dtype} for name in layers}
        assert {video.dtype for video in made.cascade} == {torch.float32}
        videos[precision] = made.cascade
    for hook in hooks:
        hook.remove()
    for exact, rounded in zip(videos["fp32"], videos["bf16"], strict=True):
        assert 0 < (exact - rounded).abs().mean() < 0.05


def test_a_model_without_frame_prediction_names_the_setting(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigurationError, match=r"^base\.frame_prediction is false[^\n]*$"):
        pipeline(PROMPTS[:1], 0, SAMPLE, beginning=Beginning((torch.zeros(1, 3, 1, 16, 16),)))


class Recorder:
    """Replaces a transformer: records its inputs; returns the sum of the text, and 10 for known frames."""

    def __init__(self, config: TransformerConfig = BASE) -> None:
        self.config = config
        self.calls: list[dict[str, Any]] = []

    def __call__(self, x: torch.Tensor, steps: torch.Tensor, **given: Any) -> Any:
        self.calls.append({"x": x, "steps": steps, **given})
        answer = torch.zeros(len(x))
        if "text" in given:
            answer = answer + given["text"].sum((1, 2))
        if "known_frames" in given:
            answer = answer + 10.0 * (given["known_frames"] > 0)
        return torch.ones_like(x) * answer.view(-1, 1, 1, 1, 1)


def conditioned(batch: int, known: torch.Tensor | None = None) -> Conditioning:
    mask = torch.ones(batch, 4, dtype=torch.bool)
    text = TextCondition(torch.full((batch, 4, 8), 1 / 32), mask, torch.zeros(1, 4, 8), mask[:1])
    return Conditioning(Conditions(text), known=known)


def predictor(model: Recorder, conditioning: Conditioning, guidance: Guidance) -> Predict:
    return guided_predict(model, Schedule.from_config(DIFFUSION), conditioning, guidance)  # type: ignore[arg-type]


@pytest.mark.parametrize(("scale", "expected", "rows"), [(1.0, 1.0, 2), (3.0, 3.0, 4)])
def test_guidance_is_one_batch(scale: float, expected: float, rows: int) -> None:
    model = Recorder()
    output = predictor(model, conditioned(2), Guidance(scale, 5.0, 0.0))(torch.zeros(2, 4, 2, 2, 2), 99)
    assert torch.allclose(output, torch.full_like(output, expected))  # uncond 0 + scale * (cond 1 - 0)
    assert [len(call["x"]) for call in model.calls] == [rows]


@pytest.mark.parametrize(
    ("scale", "frame_scale", "known_frames"),
    [(1.0, 1.0, [2]), (3.0, 3.0, [2, 0]), (3.0, 1.0, [2, 2]), (3.0, 2.0, [2, 2, 0]), (1.0, 3.0, [2, 2, 0])],
)
def test_guidance_by_known_frames_is_one_batch(scale: float, frame_scale: float, known_frames: list[int]) -> None:
    """e(c, f) = 11, e(0, f) = 10, e(0, 0) = 0."""
    model, known = Recorder(FRAMES), torch.randn(2, 4, 2, 2, 2)
    output = predictor(model, conditioned(2, known), Guidance(scale, frame_scale, 0.0))(torch.zeros(2, 4, 3, 2, 2), 99)
    assert torch.allclose(output, torch.full_like(output, frame_scale * 10.0 + scale * 1.0))
    (call,) = model.calls
    assert call["known_frames"].tolist() == [count for count in known_frames for _ in range(2)]
    assert torch.equal(call["known"][:2, :, :2], known)
    assert call["known"].shape == call["x"].shape


def test_without_conditions_only_the_frames_guide() -> None:
    config = FRAMES.model_copy(update={"conditioning": "none", "text_width": None, "cross_attention": None})
    model, known = Recorder(config), torch.randn(1, 4, 1, 2, 2)
    output = predictor(model, Conditioning(Conditions(), known=known), Guidance(7.0, 3.0, 0.0))(
        torch.zeros(1, 4, 3, 2, 2), 99
    )
    assert torch.allclose(output, torch.full_like(output, 30.0))
    assert model.calls[0]["known_frames"].tolist() == [1, 0]
    predictor(model, Conditioning(Conditions()), Guidance(7.0, 3.0, 0.0))(torch.zeros(1, 4, 3, 2, 2), 99)
    assert len(model.calls[1]["x"]) == 1


def test_scheduled_guidance_grows_while_the_noise_falls() -> None:
    """e(c, f) = 11, e(0, f) = 10, e(0, 0) = 0, of 100 steps."""
    model, known = Recorder(FRAMES), torch.randn(1, 4, 2, 2, 2)
    predict = predictor(model, conditioned(1, known), Guidance(3.0, 2.0, power=1.0))
    found = [float(predict(torch.zeros(1, 4, 3, 2, 2), timestep).mean()) for timestep in (99, 50, 0)]
    assert found == pytest.approx([11.0, 1.5 * 10 + 2.0, 2.0 * 10 + 3.0], abs=0.01)
    assert [len(call["x"]) for call in model.calls] == [3, 3, 3], "the branches are the same at all steps"


def test_stills_are_what_a_stack_of_images_in_training_is(pipeline: Pipeline) -> None:
    """The same noise denoised as one stack of independent images gives the same pictures."""
    made = pipeline(["a cat", "a dog"], 5, SAMPLE, indices=[0, 1], stills=True)
    assert [video.shape[2] for video in made.cascade] == [1, 1]
    assert not torch.equal(made.videos[0], made.videos[1])
    model, schedule = pipeline.base, pipeline.schedule
    conditions = make_conditions(["a cat", "a dog"], model.config, pipeline.text_encoder, "cpu")
    stills = Conditioning(conditions, stills=True)
    alone = guided_predict(model, schedule, stills, Guidance(1.0, 1.0))
    noise = NoiseStream((5, 5), (0, 1)).noise(
        "base", 0, (model.config.latent_channels, 1, *model.config.latent_grid[1:])
    )
    as_stack = model(
        noise.transpose(0, 2), torch.tensor([99]), images=True,
        text=conditions.text.embeddings[None], text_mask=conditions.text.mask[None],  # type: ignore[union-attr]
    ).transpose(0, 2)  # fmt: skip
    torch.testing.assert_close(alone(noise, 99), as_stack)


def test_models_of_videos_only_make_no_stills(folder: Path, tmp_path: Path) -> None:
    alone = with_base(folder, tmp_path, BASE.model_copy(update={"cross_attention": "own"}))
    with pytest.raises(ConfigurationError, match=r"cross_attention is own in the model of 16x16: .* no single images"):
        alone(["a cat"], 0, SAMPLE, stills=True)


def test_settings_become_the_guidance_of_base_and_super_resolution() -> None:
    scheduled = SAMPLE.model_copy(update={"guidance_schedule": "power_cosine", "guidance_power": 2.0})
    assert Guidance.of_base(SAMPLE).power is Guidance.of_super_resolution(SAMPLE).power is None
    assert Guidance.of_base(scheduled).power == Guidance.of_super_resolution(scheduled).power == 2.0
    assert Guidance.of_base(SAMPLE).scale == SAMPLE.guidance_scale
    assert Guidance.of_super_resolution(SAMPLE).frame_scale == SAMPLE.super_resolution_guidance_scale


def test_guidance_leaves_out_the_class() -> None:
    conditions = make_conditions([2, 0], CLASSES, None, "cpu")
    branches = Guidance(3.0, 1.0).for_inputs("class", frames=False).branches()
    assert conditions.inputs(CLASSES, branches)["labels"].tolist() == [2, 0, 3, 3]


def test_the_low_resolution_is_never_left_out() -> None:
    model, low = Recorder(), LowResolution(torch.randn(2, 4, 2, 1, 1), 7)
    predictor(model, replace(conditioned(2), low_resolution=low), Guidance(3.0, 3.0, 0.0))(
        torch.zeros(2, 4, 2, 2, 2), 99
    )
    assert torch.equal(model.calls[0]["low_resolution"], torch.cat([low.latents, low.latents]))
    assert model.calls[0]["noise_level"].tolist() == [7] * 4


def test_the_last_estimate_is_the_next_self_condition() -> None:
    model, schedule = Recorder(), Schedule.from_config(DIFFUSION)
    predict = predictor(model, conditioned(2), Guidance(3.0, 3.0, 0.0))
    x = torch.randn(2, 4, 2, 2, 2)
    output = predict(x, 99)
    predict(x, 50)
    assert model.calls[0]["self_condition"] is None
    estimate = schedule.predict_x0(output, x, torch.tensor([99, 99]))
    assert torch.equal(model.calls[1]["self_condition"], torch.cat([estimate, estimate]))


@pytest.mark.parametrize("known", [0, 1, 2])
def test_a_perfect_model_is_followed(known: int) -> None:
    """With the true velocity of a known clean latent, the sampler ends at that latent; given frames stay exact."""
    schedule, truth = Schedule.from_config(DIFFUSION), torch.randn(1, 4, 3, 2, 2)

    class Oracle(Recorder):
        def __call__(self, x: torch.Tensor, steps: torch.Tensor, **given: Any) -> torch.Tensor:
            signal, sigma = schedule.coefficients(steps, x)
            noise = (x - signal * truth) / sigma
            return schedule.target(truth.expand_as(x), noise, steps)

    oracle: Any = Oracle(FRAMES)
    given = torch.randn(2, 4, known, 2, 2) if known else None
    plain, stream = Guidance(1.0, 1.0, 0.0), NoiseStream((0, 0), (0, 1))
    found = sample_latents(oracle, schedule, conditioned(2, given), plain, SAMPLE, stream, "base")
    assert torch.allclose(found[:, :, known:], truth.expand_as(found)[:, :, known:], atol=1e-4)
    if given is not None:
        assert torch.equal(found[:, :, :known], given)
