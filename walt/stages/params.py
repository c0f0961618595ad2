"""The whole of ``params.yaml``: the union of the rooms' sections.

Stages do not import this module: each gets the sections it declares, so that a new knob in one room leaves the code
dependencies of the others alone.
"""

from __future__ import annotations

import difflib

from pydantic import model_validator

from walt.autoencoder.config import AutoencoderConfig
from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.data.config import DatasetConfig, IngestConfig
from walt.diffusion.config import DiffusionConfig
from walt.evaluation.config import EvaluateConfig
from walt.sampling.config import SampleConfig
from walt.stages.settings import EncodeVideoConfig, ReportConfig
from walt.text.config import TextConfig
from walt.tracking.config import PromotionConfig, TrackingConfig
from walt.training.config import AutoencoderTrainingConfig, DiffusionTrainingConfig
from walt.transformer.config import TransformerConfig


class Params(Section):
    """``params.yaml``, read with ``walt.core.config.load_section``."""

    seed: int
    dataset: DatasetConfig
    ingest: IngestConfig
    autoencoder: AutoencoderConfig
    train_autoencoder: AutoencoderTrainingConfig
    text: TextConfig
    encode_video: EncodeVideoConfig
    diffusion: DiffusionConfig
    base: TransformerConfig
    train_base: DiffusionTrainingConfig
    sr_2x: TransformerConfig
    train_sr_2x: DiffusionTrainingConfig
    sample: SampleConfig
    evaluate: EvaluateConfig
    report: ReportConfig
    tracking: TrackingConfig
    promotion: PromotionConfig
    compute: ComputeConfig

    @model_validator(mode="after")
    def _check_that_rooms_fit(self) -> Params:
        """What one section promises and another relies on; errors name both keys."""
        _check_sizes(self)
        _check_transformers(self)
        _check_super_resolution(self)
        _check_diffusion(self)
        _check_evaluation(self)
        return self


def _check_sizes(params: Params) -> None:
    factor, sizes = params.autoencoder.spatial_factor, params.ingest.all_sizes
    for size in sizes:
        if any(side % factor for side in size):
            raise ValueError(f"ingest.sizes: {size} is not divisible by the autoencoder's spatial factor {factor}")
    for form in params.train_autoencoder.forms:
        if form.size not in sizes:
            raise ValueError(f"train_autoencoder.forms: size {form.size} is not one of ingest.sizes")
        if form.num_frames > params.ingest.num_frames or form.num_frames % 4 != 1:
            raise ValueError(f"train_autoencoder.forms: num_frames {form.num_frames} is not 1 + 4k within a clip")


def _check_transformers(params: Params) -> None:
    frames = 1 + (params.ingest.num_frames - 1) // params.autoencoder.temporal_factor
    factor = params.autoencoder.spatial_factor
    for name, model, training in (
        ("base", params.base, params.train_base),
        ("sr_2x", params.sr_2x, params.train_sr_2x),
    ):
        height, width = model.resolution
        expected = {
            "latent_grid": (frames, height // factor, width // factor),
            "latent_channels": params.autoencoder.latent_channels,
        }
        for key, value in expected.items():
            if getattr(model, key) != value:
                raise ValueError(f"{name}.{key} is {getattr(model, key)}, but the autoencoder makes {value}")
        if model.resolution not in params.ingest.all_sizes:
            raise ValueError(
                f"{name}.resolution {model.resolution} is not one of ingest.sizes {params.ingest.all_sizes}"
            )
        probability = training.frame_prediction_probability
        if probability and not model.frame_prediction:
            raise ValueError(
                f"train_{name}.frame_prediction_probability is {probability:g}, "
                f"which needs {name}.frame_prediction true"
            )
        if model.frame_prediction and not probability:
            raise ValueError(
                f"{name}.frame_prediction is true, but train_{name}.frame_prediction_probability is 0: "
                "no video would be trained with known frames"
            )
        if model.conditioning != "text":
            continue
        if params.text.encoder == "tiny" and model.text_width != params.text.tiny.width:
            raise ValueError(
                f"{name}.text_width is {model.text_width}, but text.tiny.width is {params.text.tiny.width}"
            )
        if model.cross_attention == "own" and training.image_fraction > 0:
            raise ValueError(
                f"{name}.cross_attention is own, which cannot train on images: train_{name}.image_fraction must be 0, "
                f"not {training.image_fraction:g}"
            )


def _check_super_resolution(params: Params) -> None:
    settings, steps = params.sr_2x.super_resolution, params.diffusion.num_steps
    if params.base.super_resolution is not None or settings is None:
        raise ValueError("super_resolution must be null in base and set in sr_2x")
    height, width = (settings.factor * side for side in params.base.resolution)
    if params.sr_2x.resolution != (height, width):
        raise ValueError(
            f"sr_2x.resolution is {params.sr_2x.resolution}, but base.resolution times "
            f"sr_2x.super_resolution.factor {settings.factor} is {(height, width)}"
        )
    if not params.ingest.goes_with(params.sr_2x.resolution, params.base.resolution):
        raise ValueError(
            f"sr_2x.resolution {params.sr_2x.resolution} and base.resolution {params.base.resolution} must be in one "
            "of ingest.buckets, or the latter in ingest.sizes: super-resolution needs both of each clip"
        )
    for key in ("max_noise_level", "sampling_noise_level"):
        if getattr(settings, key) >= steps:
            level = getattr(settings, key)
            raise ValueError(f"sr_2x.super_resolution.{key} is {level}, but must be below diffusion.num_steps {steps}")


def _check_diffusion(params: Params) -> None:
    if params.sample.steps > params.diffusion.num_steps:
        raise ValueError(
            f"sample.steps is {params.sample.steps}, more than diffusion.num_steps {params.diffusion.num_steps}"
        )
    if params.diffusion.prediction == "epsilon" and params.diffusion.zero_terminal_snr:
        raise ValueError("diffusion.prediction epsilon needs diffusion.zero_terminal_snr false: use v or x0")


def _check_evaluation(params: Params) -> None:
    evaluate, metric = params.evaluate, params.promotion.metric
    for key in ("i3d_path", "i3d_sha256"):
        if evaluate.features == "i3d" and not getattr(evaluate, key):
            raise ValueError(f"evaluate.features is i3d, which needs evaluate.{key}")
    known = evaluate.metric_names(cascade=params.sample.cascade)
    if metric not in known:
        nearest = difflib.get_close_matches(metric, known, n=1, cutoff=0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"there are {', '.join(known)}"
        raise ValueError(f"promotion.metric is '{metric}', which evaluate does not make with these settings; {hint}")
