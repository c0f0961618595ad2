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
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.sizes import Size, size_folder
from walt.core.storage import atomic_directory, write_json
from walt.core.transformers import Transformer, get_transformer
from walt.data.caption_choice import CaptionChoice
from walt.data.caption_table import CAPTIONS_TABLE
from walt.data.clip_table import CLIPS_TABLE
from walt.data.conditions import Conditions, TextConditions, open_conditions
from walt.data.labels import LABELS_TABLE
from walt.data.latent_dataset import LatentDataset
from walt.data.prefetch import PrefetchedSteps
from walt.data.shards import INDEX_NAME
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.schedule import Schedule
from walt.nn.device import keep_freed_memory, prefetch_depth, select_device
from walt.nn.pretrained import load_config, weights_digest
from walt.project.code_identity import code_digest
from walt.tracking.config import TrackingConfig
from walt.tracking.runs import start_run
from walt.training import checkpoint
from walt.training.compilation import compile_blocks
from walt.training.config import DiffusionTrainingConfig
from walt.training.diffusion_objective import BatchMaker, DiffusionObjective
from walt.training.loop import train
from walt.transformer.aspect import at_aspect
from walt.transformer.config import AspectConfig, TransformerConfig
from walt.transformer.model import WaltTransformer, load_transformer, save_transformer


class Config(Section):
    """What the stages that train a transformer read of ``params.yaml``; the first two under the transformer's names."""

    architecture: TransformerConfig | AspectConfig | None
    training: DiffusionTrainingConfig | None
    seed: int
    diffusion: DiffusionConfig
    compute: ComputeConfig
    tracking: TrackingConfig


def run(config: Config, paths: Paths, transformer: Transformer) -> dict[str, Any]:
    """Train a transformer, publish it in its folder and register a model version, or leave it out; returns the stage's
    figures.

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
    model = _model(architecture, training, first, device, f"{transformer.training}.compile")
    objective = _objective(config, architecture, training, model, paths, transformer)
    identity = _identity(config, architecture, first, paths)
    parameters = {  # for people, who compare runs by them
        "seed": config.seed,
        "architecture": architecture.model_dump(mode="json"),
        "diffusion": config.diffusion.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
    }
    with (
        start_run(config.tracking, paths.root, transformer.stage, parameters, tags={}) as tracked,
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
        )
        figures = {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "steps": training.steps,
            "loss": result.history[-1]["loss"],
        }
        if ranks().is_first:
            with atomic_directory(output) as folder:
                save_transformer(folder, model, result.state_dict)
                write_json(folder / "metrics.json", figures)
                write_json(folder / "history.json", result.history)
            tracked.register_model(output, transformer.version_name)
    if ranks().is_first:
        checkpoint.discard(work)  # a forced rerun must not find its work already done
    latents = objective.maker.latents
    return {**figures, "videos": len(latents.video_keys), "images": len(latents.image_keys)}


def _architecture(section: TransformerConfig | AspectConfig, first: Path | None) -> TransformerConfig:
    """The whole configuration: a finetuning's section has only what differs from the model that it starts from."""
    if isinstance(section, TransformerConfig):
        return section
    assert first is not None, "finetuning to another shape needs the model in its first shape"
    return section.of(load_config(first, TransformerConfig))


def _model(
    architecture: TransformerConfig, training: DiffusionTrainingConfig, first: Path | None, device: str, key: str
) -> WaltTransformer:
    """The model before its first step. ``key`` is the setting that asks for compilation, for messages."""
    model = WaltTransformer(architecture)
    if first is not None:
        model.load_state_dict(weights_for(first, architecture))
    model = model.to(device)
    model.activation_checkpointing = training.activation_checkpointing
    if training.compile:
        compile_blocks(model.blocks, device, key)
    return model


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
    conditions = open_conditions(paths.text, architecture.conditioning, architecture.num_classes, choice)
    check_text_width(conditions, architecture, transformer.name)
    latents = LatentDataset(paths.latents, architecture.resolution, "train")
    if isinstance(conditions, TextConditions):
        conditions.check((*latents.video_keys, *latents.image_keys), transformer.training)
    maker = BatchMaker(
        architecture,
        schedule,
        latents,
        LatentDataset(paths.latents, low_size, "train") if low_size else None,
        conditions,
        training.condition_dropout,
        training.frame_prediction_probability,
        config.seed,
    )
    return DiffusionObjective(model, schedule, maker, training, config.seed)


def _identity(config: Config, architecture: TransformerConfig, first: Path | None, paths: Paths) -> dict[str, Any]:
    """What decides the trained weights besides the training section, which ``train`` adds: for checkpoints.

    What is not here may change between a run's end and its resumption.
    """
    sizes = [architecture.resolution]
    if (low_size := low_resolution_size(architecture)) is not None:
        sizes.append(low_size)
    return {
        "seed": config.seed,
        "architecture": architecture.model_dump(mode="json"),
        "diffusion": config.diffusion.model_dump(mode="json"),
        "data": _data_digests(paths, sizes),
        **({} if first is None else {"start_from": weights_digest(first)}),
        "code": code_digest(__name__),
    }


def weights_for(folder: Path, architecture: TransformerConfig) -> dict[str, Tensor]:
    """A trained model's weights for ``architecture``, whose grid may differ. Raises ConfigurationError."""
    trained = load_transformer(folder)
    return at_aspect(trained.state_dict(), trained.config, architecture)


def check_text_width(conditions: Conditions, architecture: TransformerConfig, section: str) -> None:
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


def _data_digests(paths: Paths, sizes: list[Size]) -> dict[str, str]:
    """The identity of the training data: the digests of the tars' indexes."""
    files = {size_folder(size): paths.latents / size_folder(size) / INDEX_NAME for size in sizes}
    files["clips"] = paths.latents / CLIPS_TABLE
    of_text = {"text": INDEX_NAME, "captions": CAPTIONS_TABLE, "labels": LABELS_TABLE}
    files |= {name: paths.text / file for name, file in of_text.items()}
    return {name: sha256_file(file) for name, file in files.items() if file.is_file()}  # no text, no index
