"""The whole of ``params.yaml``: the union of the rooms' sections.

Stages do not import this module: each gets the sections it declares, so that a new knob in one room leaves the code
dependencies of the others alone. Sections of models that a project does without are null.
"""

from __future__ import annotations

from pydantic import ValidationError, model_validator

from walt.autoencoder.config import AutoencoderConfig
from walt.captioning.config import CaptionConfig
from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.suggestions import did_you_mean
from walt.core.transformers import SUPER_RESOLUTION_NAMES, TRANSFORMERS, Transformer
from walt.diffusion.config import DiffusionConfig
from walt.evaluation.config import WITHOUT_FILES, EvaluateConfig
from walt.evaluation.metric_names import better, is_of_a_band, is_of_a_check, metric_names
from walt.evaluation.protocol import networks_of
from walt.ingest.config import DatasetConfig, IngestConfig
from walt.project.encode_video_config import EncodeVideoConfig
from walt.project.report_config import ReportConfig
from walt.project.retrain_config import RetrainConfig
from walt.project.untrained_sampling import untrained_sampling
from walt.sampling.config import SampleConfig
from walt.text.config import TextConfig
from walt.tracking.config import TrackingConfig
from walt.tracking.promotion import PromotionConfig
from walt.training.autoencoder_config import AutoencoderTrainingConfig
from walt.training.config import DiffusionTrainingConfig, ResumeConfig
from walt.transformer.config import AspectConfig, TransformerConfig


class Params(Section):
    """``params.yaml``, read with ``walt.core.config.load_section``."""

    seed: int
    dataset: DatasetConfig
    ingest: IngestConfig
    autoencoder: AutoencoderConfig
    train_autoencoder: AutoencoderTrainingConfig
    caption: CaptionConfig | None
    text: TextConfig | None
    encode_video: EncodeVideoConfig
    diffusion: DiffusionConfig
    base: TransformerConfig
    train_base: DiffusionTrainingConfig
    aspect: AspectConfig | None
    finetune_aspect: DiffusionTrainingConfig | None
    sr_2x: TransformerConfig | None
    train_sr_2x: DiffusionTrainingConfig | None
    sr_4x: TransformerConfig | None
    train_sr_4x: DiffusionTrainingConfig | None
    sample: SampleConfig
    evaluate: EvaluateConfig
    report: ReportConfig
    tracking: TrackingConfig
    promotion: PromotionConfig
    retrain: RetrainConfig
    compute: ComputeConfig
    resume: ResumeConfig

    @model_validator(mode="after")
    def _check_that_rooms_fit(self) -> Params:
        """Check what one section promises and another relies on; errors name both keys."""
        _check_pairs(self)
        _check_sizes(self)
        for transformer in TRANSFORMERS:
            if transformer.name in self.transformers():
                _check_transformer(self, transformer, *self.transformers()[transformer.name])
        _check_text(self)
        _check_conditions(self)
        _check_captions(self)
        _check_super_resolution(self)
        if problem := untrained_sampling(self.transformers(), self.sample, self.sample.beginning != "none"):
            raise ValueError(problem)
        _check_diffusion(self)
        _check_evaluation(self)
        _check_retraining(self)
        return self

    def transformers(self) -> dict[str, tuple[TransformerConfig, DiffusionTrainingConfig]]:
        """The transformers that are not null with their trainings, in the order of the cascade."""
        found: dict[str, tuple[TransformerConfig, DiffusionTrainingConfig]] = {}
        for transformer in TRANSFORMERS:
            model, training = getattr(self, transformer.name), getattr(self, transformer.training)
            if model is not None and training is not None:
                whole = self.base.with_keys_of(model) if isinstance(model, AspectConfig) else model
                found[transformer.name] = (whole, training)
        return found

    @property
    def text_width(self) -> int | None:
        """Width of the text encoder's output, as the models expect it."""
        return next((model.text_width for model, _ in self.transformers().values() if model.text_width), None)


def _check_pairs(params: Params) -> None:
    """A model and its training are given together, and a cascade has no gap."""
    for model, training in ((transformer.name, transformer.training) for transformer in TRANSFORMERS):
        if (getattr(params, model) is None) != (getattr(params, training) is None):
            null, given = (model, training) if getattr(params, model) is None else (training, model)
            raise ValueError(f"{null} is null, but {given} is not: both are given, or neither")
    if params.sr_4x is not None and params.sr_2x is None:
        raise ValueError("sr_2x is null, but sr_4x is not: the second super-resolution model follows the first")
    if params.sample.cascade and params.sr_2x is None:
        raise ValueError("sample.cascade is true, but sr_2x is null: no model follows the base model")
    if params.aspect is not None:
        try:
            params.base.with_keys_of(params.aspect)
        except ValidationError as error:
            raise ValueError(f"aspect: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _check_sizes(params: Params) -> None:
    factor, sizes = params.autoencoder.spatial_factor, params.ingest.all_sizes
    for size in sizes:
        if any(side % factor for side in size):
            raise ValueError(f"ingest.sizes: {size} is not divisible by the autoencoder's spatial factor {factor}")
    for form in params.train_autoencoder.forms:
        if form.resolution not in sizes:
            raise ValueError(f"train_autoencoder.forms: resolution {form.resolution} is not one of ingest.sizes")
        if form.num_frames > params.ingest.num_frames or form.num_frames % 4 != 1:
            raise ValueError(f"train_autoencoder.forms: num_frames {form.num_frames} is not 1 + 4k within a clip")


def _check_transformer(
    params: Params, transformer: Transformer, model: TransformerConfig, training: DiffusionTrainingConfig
) -> None:
    name, section = transformer.name, transformer.training
    frames = 1 + (params.ingest.num_frames - 1) // params.autoencoder.temporal_factor
    factor = params.autoencoder.spatial_factor
    height, width = model.resolution
    expected = {
        "latent_grid": (frames, height // factor, width // factor),
        "latent_channels": params.autoencoder.latent_channels,
    }
    for key, value in expected.items():
        if getattr(model, key) != value:
            raise ValueError(f"{name}.{key} is {getattr(model, key)}, but the autoencoder makes {value}")
    if model.resolution not in params.ingest.all_sizes:
        raise ValueError(f"{name}.resolution {model.resolution} is not one of ingest.sizes {params.ingest.all_sizes}")
    if training.initial_weights is not None and transformer.starts_from is not None:
        raise ValueError(f"{section}.initial_weights must be null: {name} starts from {transformer.starts_from}")
    probability = training.frame_prediction_probability
    if probability and not model.frame_prediction:
        raise ValueError(
            f"{section}.frame_prediction_probability is {probability:g}, which needs {name}.frame_prediction true"
        )
    if model.frame_prediction and not probability:
        raise ValueError(
            f"{name}.frame_prediction is true, but {section}.frame_prediction_probability is 0: "
            "no video would be trained with known frames"
        )
    _check_estimate(name, section, model, training)
    if model.cross_attention == "own" and training.image_fraction > 0:
        raise ValueError(
            f"{name}.cross_attention is own, which cannot train on images: {section}.image_fraction must be 0, "
            f"not {training.image_fraction:g}"
        )
    if frames == 1 and training.image_fraction < 1:
        raise ValueError(
            f"{section}.image_fraction is {training.image_fraction:g}, but with ingest.num_frames "
            f"{params.ingest.num_frames} there are images only: it must be 1"
        )


def _check_estimate(name: str, section: str, model: TransformerConfig, training: DiffusionTrainingConfig) -> None:
    """A sampler gives each model that takes one its estimate, in all steps but the first."""
    probability = training.self_conditioning_probability
    if probability and not model.self_conditioning:
        raise ValueError(
            f"{section}.self_conditioning_probability is {probability:g}, which needs {name}.self_conditioning true"
        )
    if model.self_conditioning and not probability:
        raise ValueError(
            f"{name}.self_conditioning is true, but {section}.self_conditioning_probability is 0: samples would be "
            "made with an estimate at an input that was never trained"
        )


def _check_text(params: Params) -> None:
    conditioned = {name: model for name, (model, _) in params.transformers().items() if model.conditioning == "text"}
    if params.text is None:
        if conditioned:
            raise ValueError(
                f"{next(iter(conditioned))}.conditioning is text, but text is null: nothing would encode it"
            )
        return
    if not conditioned:
        raise ValueError("text is given, but no model's conditioning is text: it must be null")
    for name, model in conditioned.items():
        if params.text.encoder == "tiny" and model.text_width != params.text.tiny.width:
            raise ValueError(
                f"{name}.text_width is {model.text_width}, but text.tiny.width is {params.text.tiny.width}"
            )


def _check_conditions(params: Params) -> None:
    """The models of a cascade have the same condition, and the samples' prompts are of that kind."""
    base, prompts = params.base, params.sample.prompts
    for name, (model, _) in params.transformers().items():
        if model.conditioning not in (base.conditioning, "none"):
            said = f"{name}.conditioning is {model.conditioning}, but base.conditioning is {base.conditioning}"
            raise ValueError(f"{said}: it must be the same, or none")
        if model.num_classes not in (base.num_classes, None):
            raise ValueError(f"{name}.num_classes is {model.num_classes}, but base.num_classes is {base.num_classes}")
    taken = {
        "text": ("held_out", "adherence", "none"),
        "class": ("classes", "training_classes", "held_out", "none"),
        "none": ("none",),
    }
    listed = base.conditioning == "text" and isinstance(prompts, tuple)
    if not listed and prompts not in taken[base.conditioning]:
        said = "a list" if isinstance(prompts, tuple) else prompts
        allowed = ", ".join((*taken[base.conditioning], *(["a list"] if base.conditioning == "text" else [])))
        raise ValueError(
            f"sample.prompts is {said}, but with base.conditioning {base.conditioning} it is one of {allowed}"
        )


def _check_captions(params: Params) -> None:
    """What chooses among captions is there only for models that are conditioned on text."""
    for transformer in TRANSFORMERS:
        model, training = params.transformers().get(transformer.name, (None, None))
        if model and training and training.caption_weights is not None and model.conditioning != "text":
            said = f"{transformer.name}.conditioning is {model.conditioning}"
            raise ValueError(f"{transformer.training}.caption_weights is given, but {said}: it must be null")
    for name, section in (("sample", params.sample), ("evaluate", params.evaluate)):
        if section.caption is not None and params.text is None:
            raise ValueError(f"{name}.caption is '{section.caption}', but text is null: it must be null")


def _check_super_resolution(params: Params) -> None:
    names, steps = list(params.transformers()), params.diffusion.num_steps
    models = {name: model for name, (model, _) in params.transformers().items()}
    if params.base.super_resolution is not None:
        raise ValueError("base.super_resolution must be null: the base model has no low-resolution input")
    for name in SUPER_RESOLUTION_NAMES:
        if name not in models:
            continue
        before = names[names.index(name) - 1]
        settings, resolution = models[name].super_resolution, models[name].resolution
        if settings is None:
            raise ValueError(f"{name}.super_resolution must be set")
        expected = tuple(settings.factor * side for side in models[before].resolution)
        if resolution != expected:
            raise ValueError(
                f"{name}.resolution is {resolution}, but {before}.resolution times {name}.super_resolution.factor "
                f"{settings.factor} is {expected}"
            )
        if not params.ingest.goes_with(resolution, models[before].resolution):
            raise ValueError(
                f"{name}.resolution {resolution} and {before}.resolution {models[before].resolution} must be in one of "
                "ingest.buckets, or the latter in ingest.sizes: super-resolution needs both of each clip"
            )
        for key in ("max_noise_level", "sampling_noise_level"):
            level = getattr(settings, key)
            if level >= steps:
                raise ValueError(
                    f"{name}.super_resolution.{key} is {level}, but must be below diffusion.num_steps {steps}"
                )
        if settings.sampling_noise_level > settings.max_noise_level:
            raise ValueError(
                f"{name}.super_resolution.sampling_noise_level is {settings.sampling_noise_level}, above "
                f"max_noise_level {settings.max_noise_level}: no such noise is trained"
            )


def _check_diffusion(params: Params) -> None:
    if params.sample.steps > params.diffusion.num_steps:
        raise ValueError(
            f"sample.steps is {params.sample.steps}, more than diffusion.num_steps {params.diffusion.num_steps}"
        )
    if params.sample.beginning != "none" and not params.base.frame_prediction:
        raise ValueError(f"sample.beginning is {params.sample.beginning}, which needs base.frame_prediction true")
    if params.diffusion.prediction == "epsilon" and params.diffusion.zero_terminal_snr:
        raise ValueError("diffusion.prediction epsilon needs diffusion.zero_terminal_snr false: use v or x0")


def _check_evaluation(params: Params) -> None:
    evaluate = params.evaluate
    for network in networks_of(evaluate):
        if network not in WITHOUT_FILES and network not in evaluate.networks:
            said = f"protocol is {evaluate.protocol}" if evaluate.features is None else f"features is {network}"
            raise ValueError(f"evaluate.{said}, which needs evaluate.networks.{network}, with path and sha256")
    made = metric_names(evaluate, list(params.transformers()), cascade=params.sample.cascade)
    known = [name for name in made if not is_of_a_band(name)]  # those are kept without replicates
    checked = params.sample.prompts == "adherence"  # else the dataset need not have the check: nothing is promised
    offered = [name for name in known if checked or not is_of_a_check(name)]
    for key, metric in params.promotion.metrics.items():
        if metric not in known:
            hint = did_you_mean(metric, offered, f"there are {', '.join(offered)}")
            raise ValueError(f"promotion.{key} is '{metric}', which evaluate does not make with these settings{hint}")
    rule = params.promotion
    directions = [("better", rule.metric, rule.better)]
    directions += [(f"guards.{place}.better", guard.metric, guard.better) for place, guard in enumerate(rule.guards)]
    for key, metric, said in directions:
        if said != better(metric):
            raise ValueError(f"promotion.{key} is {said}, but {metric} is better when it is {better(metric)}")


def _check_retraining(params: Params) -> None:
    for transformer in TRANSFORMERS:
        training = params.transformers().get(transformer.name, (None, None))[1]
        if training is None or transformer.starts_from is not None:
            continue
        if params.retrain.steps <= training.optimizer.warmup_steps:
            raise ValueError(
                f"retrain.steps is {params.retrain.steps}, but {transformer.training}.optimizer.warmup_steps is "
                f"{training.optimizer.warmup_steps}: it must be more"
            )
