"""The stages that train a transformer: latents and their conditions -> a published model.

The base model, its finetuning to another shape (paper, Table 6), and the super-resolution models, on pairs of latents.
Each is an entry of ``walt.core.transformers``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.left_out import METRICS_FILE, leave_out
from walt.core.log import warning
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.sizes import Size, size_folder
from walt.core.storage import atomic_directory, write_json
from walt.core.transformers import Transformer, get_transformer
from walt.data.caption_choice import CaptionChoice
from walt.data.clip_table import CLIPS_TABLE
from walt.data.conditions import StoredConditions, TextConditions, open_conditions
from walt.data.latent_dataset import LatentDataset
from walt.data.members import Members
from walt.data.mixture import mixtures
from walt.data.prefetch import PrefetchedSteps
from walt.data.shards import INDEX_NAME
from walt.data.text_tables import CAPTIONS_TABLE, LABELS_TABLE, MEMBERS_TABLE
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.schedule import Schedule
from walt.nn.collectives import first_goes_ahead
from walt.nn.device import keep_freed_memory, prefetch_depth, select_device
from walt.nn.pretrained import load_config, weights_digest
from walt.project.code_identity import code_digests
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import GivenModel, forget, given_model
from walt.tracking.runs import start_run
from walt.training import continuation
from walt.training.compilation import compile_blocks
from walt.training.config import DiffusionTrainingConfig, ResumeConfig
from walt.training.diffusion_objective import EVENLY, BatchMaker, DiffusionObjective
from walt.training.loop import TrainingResult, train
from walt.training.parallel import shard
from walt.training.validation import Validator
from walt.transformer.config import AspectConfig, TransformerConfig
from walt.transformer.initial_weights import at_aspect
from walt.transformer.model import WaltTransformer, load_transformer, save_transformer

_MAY_DIFFER: Any = {"resolution": True, "super_resolution": {"max_noise_level", "sampling_noise_level"}}
"""Of an architecture, what may differ from that of the weights it starts from: what is learned may change, but no
tensor."""


class Config(Section):
    """What the stages that train a transformer read of ``params.yaml``; the first two under the transformer's names."""

    architecture: TransformerConfig | AspectConfig | None
    training: DiffusionTrainingConfig | None
    seed: int
    diffusion: DiffusionConfig
    compute: ComputeConfig
    tracking: TrackingConfig
    resume: ResumeConfig


def run(config: Config, paths: Paths, transformer: Transformer, validator: Validator | None = None) -> dict[str, Any]:
    """Train a transformer, publish it in its folder and register a model version, or leave it out; returns the stage's
    figures.

    Args:
        validator: looks at the model meanwhile, where the training's section asks for it.

    Raises:
        ConfigurationError: the data do not fit the model, or the weights it starts from do not.
        RejectLimitError: there are no clips of the kind that is to be trained on.
    """
    output = paths.root / transformer.folder
    if config.architecture is None or config.training is None:
        return leave_out(output, transformer.name)
    training, work = config.training, paths.work(transformer.stage)
    first = None if transformer.starts_from is None else paths.root / get_transformer(transformer.starts_from).folder
    architecture = _architecture(config.architecture, first)
    torch.manual_seed(config.seed)
    device = select_device(config.compute.device)
    keep_freed_memory(device)
    given = _given(config, training, paths.root, work)
    weights = _weights(architecture, first, None if given is None else given.folder)
    model = _model(architecture, training, weights, device, f"{transformer.training}.compile", config.compute.sharding)
    with first_goes_ahead():  # one hashes what was not hashed on this machine, the others find that
        objective = _objective(config, architecture, training, model, paths, transformer)
    started = {} if given is None else {"initial_weights": weights_digest(given.folder)}
    trained_on = _trained_on(objective, f"{transformer.training}.image_fraction")
    identity = _identity(config, architecture, training, first, paths, transformer)
    identity["weights"] |= started
    with first_goes_ahead():
        beginning = continuation.begin(transformer.stage, work, identity, training, config.resume.if_different)
    parameters = _parameters(config, architecture, training)
    tags = {} if given is None else given.tags("initial_weights", started["initial_weights"])
    with (
        start_run(config.tracking, paths.root, transformer.stage, parameters, tags | beginning.tags()) as tracked,
        PrefetchedSteps(objective.batch, stop=training.steps, depth=prefetch_depth(device)) as batches,
    ):
        result = train(
            name=transformer.stage,
            model=model,
            losses=lambda step: objective.losses(step, batches(step)),
            config=training,
            identity=identity,
            work=work,
            on_log=lambda step, metrics: tracked.log_metrics(metrics, step),
            validation=validator(tracked, None) if validator and training.validation else None,
        )
        figures = {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "steps": training.steps,
            "loss": result.history[-1]["loss"],
            **trained_on,
        }
        if ranks().is_first:
            _publish(output, model, result, figures)
            tracked.register_model(output, transformer.version_name)
    if ranks().is_first:
        continuation.finish(work, config.resume.kept_set_aside)
        forget(work)
    return figures | _drawn(objective.drawn_members(training.steps))


def _trained_on(objective: DiffusionObjective, key: str) -> dict[str, int]:
    """How many clips of each kind are drawn from. ``key`` asks for images, where there may be none: that is said."""
    latents, (videos, stacks) = objective.maker.latents, objective.counts
    if (share := objective.config.image_fraction) and not stacks:
        warning(
            f"{key} is {share:g}, but no training clip is an image: the model is trained on videos alone, and makes no "
            "single pictures"
        )
    return {"videos": len(latents.video_keys) if videos else 0, "images": len(latents.image_keys) if stacks else 0}


def _drawn(members: dict[str, dict[str, tuple[float, float]]]) -> dict[str, Any]:
    """Where members are drawn by weight: the share and the epochs of each, for people."""
    shown = {
        kind: {name: f"{share:.1%}, {epochs:.2f} epochs" for name, (share, epochs) in of_kind.items()}
        for kind, of_kind in members.items()
    }
    return {"members": shown} if shown else {}


def _parameters(config: Config, architecture: TransformerConfig, training: DiffusionTrainingConfig) -> dict[str, Any]:
    """The settings of a run, for people, who compare runs by them."""
    return {
        "seed": config.seed,
        "architecture": architecture.model_dump(mode="json"),
        "diffusion": config.diffusion.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
    }


def _publish(output: Path, model: WaltTransformer, result: TrainingResult, figures: dict[str, Any]) -> None:
    """Write the trained model's folder."""
    with atomic_directory(output) as folder:
        save_transformer(folder, model, result.state_dict)
        write_json(folder / METRICS_FILE, figures)
        write_json(folder / "history.json", result.history)
        continuation.write_changes(folder, result.changes)


def _architecture(section: TransformerConfig | AspectConfig, first: Path | None) -> TransformerConfig:
    """The whole configuration: a finetuning's section has only what differs from the model that it starts from."""
    if isinstance(section, TransformerConfig):
        return section
    assert first is not None, "finetuning to another shape needs the model in its first shape"
    return load_config(first, TransformerConfig).with_keys_of(section)


def _model(
    architecture: TransformerConfig,
    training: DiffusionTrainingConfig,
    weights: dict[str, Tensor] | None,
    device: str,
    key: str,
    sharding: str,
) -> WaltTransformer:
    """The model before its first step. ``key`` is the setting that asks for compilation, for messages."""
    model = WaltTransformer(architecture)
    if weights is not None:
        model.load_state_dict(weights)
    model = model.to(device)
    model.activation_checkpointing = training.activation_checkpointing
    if training.compile:
        compile_blocks(model.blocks, device, key)
    if sharding == "full" and ranks().count > 1:
        shard(model, model.blocks)
    return model


def _given(config: Config, training: DiffusionTrainingConfig, root: Path, work: Path) -> GivenModel | None:
    """The model whose weights are the first ones, where the setting names one."""
    if training.initial_weights is None:
        return None
    with first_goes_ahead():  # one fetches, the others find
        return given_model(config.tracking, root, training.initial_weights, work)


def _weights(architecture: TransformerConfig, first: Path | None, given: Path | None) -> dict[str, Tensor] | None:
    """The first weights: of the model that this one is finetuned from, or those given; None where they are drawn.

    Raises:
        ConfigurationError: those given are of another architecture; the message names each setting that differs.
    """
    if first is not None:
        return weights_for(first, architecture)
    if given is None:
        return None
    trained = load_transformer(given)
    there, here = (config.model_dump(mode="json", exclude=_MAY_DIFFER) for config in (trained.config, architecture))
    differences = [f"{key}: {there[key]} there, {here[key]} here" for key in here if there[key] != here[key]]
    if differences:
        raise ConfigurationError(f"{given}: a transformer of another architecture ({'; '.join(differences)})")
    return trained.state_dict()


def _objective(
    config: Config,
    architecture: TransformerConfig,
    training: DiffusionTrainingConfig,
    model: WaltTransformer,
    paths: Paths,
    transformer: Transformer,
) -> DiffusionObjective:
    """Batches and losses, from the stored latents and conditions."""
    schedule = Schedule.from_config(config.diffusion)
    low_size = low_resolution_size(architecture)
    choice = CaptionChoice(weights=training.caption_weights or {})
    pinned = next(model.parameters()).is_cuda
    conditions = open_conditions(paths.text, architecture.conditioning, architecture.num_classes, choice, pinned)
    check_text_width(conditions, architecture, transformer.name)
    latents = LatentDataset(paths.latents, architecture.resolution, "train", pinned)
    if isinstance(conditions, TextConditions):
        conditions.check(latents.keys(), transformer.training)
    drawn = EVENLY
    if training.member_weights is not None:
        of_kinds = {"video": latents.video_keys, "image": latents.image_keys}
        key = f"{transformer.training}.member_weights"
        drawn = mixtures(Members(paths.text), training.member_weights, of_kinds, key)
    maker = BatchMaker(
        architecture,
        schedule,
        latents,
        LatentDataset(paths.latents, low_size, "train", pinned) if low_size else None,
        conditions,
        training.condition_dropout,
        training.frame_prediction_probability,
        config.seed,
        drawn,
    )
    return DiffusionObjective(model, schedule, maker, training, config.seed)


def _identity(
    config: Config,
    architecture: TransformerConfig,
    training: DiffusionTrainingConfig,
    first: Path | None,
    paths: Paths,
    transformer: Transformer,
) -> dict[str, Any]:
    """What the run is besides the training section, which ``train`` adds, by ``walt.training.differences``."""
    sizes = [architecture.resolution]
    if (low_size := low_resolution_size(architecture)) is not None:
        sizes.append(low_size)
    return {
        "settings": {
            "seed": config.seed,
            "diffusion": config.diffusion.model_dump(mode="json"),
            transformer.name: architecture.model_dump(mode="json"),
        },
        "data": _data_digests(paths, sizes, drawn_by_member=training.member_weights is not None),
        "weights": {} if first is None else {"start_from": weights_digest(first)},
        "code": code_digests(__name__),
        "compute": config.compute.model_dump(mode="json"),
    }


def weights_for(folder: Path, architecture: TransformerConfig) -> dict[str, Tensor]:
    """A trained model's weights for ``architecture``, whose grid may differ. Raises ConfigurationError."""
    trained = load_transformer(folder)
    return at_aspect(trained.state_dict(), trained.config, architecture)


def check_text_width(conditions: StoredConditions, architecture: TransformerConfig, section: str) -> None:
    """Raises ConfigurationError where the stored embeddings are not as wide as the model expects."""
    if not isinstance(conditions, TextConditions):
        return
    width = conditions.text.null()[0].shape[-1]
    if width != architecture.text_width:
        raise ConfigurationError(
            f"{section}.text_width is {architecture.text_width}, but text.encoder makes embeddings of width {width}"
        )


def low_resolution_size(architecture: TransformerConfig) -> Size | None:
    """(height, width) in pixels of a super-resolution model's input; None for a base model."""
    if architecture.super_resolution is None:
        return None
    height, width = architecture.resolution
    factor = architecture.super_resolution.factor
    return height // factor, width // factor


def _data_digests(paths: Paths, sizes: list[Size], drawn_by_member: bool) -> dict[str, str]:
    """The identity of the training data: the digests of the tars' indexes, and of the tables that are read."""
    files = {size_folder(size): paths.latents / size_folder(size) / INDEX_NAME for size in sizes}
    files["clips"] = paths.latents / CLIPS_TABLE
    of_text = {"text": INDEX_NAME, "captions": CAPTIONS_TABLE, "labels": LABELS_TABLE}
    if drawn_by_member:
        of_text["members"] = MEMBERS_TABLE
    files |= {name: paths.text / file for name, file in of_text.items()}
    return {name: sha256_file(file) for name, file in files.items() if file.is_file()}  # no text, no index
