"""What the stages that train a transformer share: from latents and what is said of them to a published model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from walt.core.compute import ComputeConfig
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.sizes import Size, size_folder
from walt.core.storage import atomic_directory, sha256_file, write_json
from walt.data.clip_table import CLIPS_TABLE
from walt.data.conditions import Conditions, TextConditions, open_conditions
from walt.data.labels import LABELS_TABLE
from walt.data.latent_dataset import LatentDataset
from walt.data.prefetch import PrefetchedSteps
from walt.data.shards import INDEX_NAME
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.schedule import Schedule
from walt.nn.device import keep_freed_memory, prefetch_depth, select_device
from walt.nn.pretrained import weights_digest
from walt.tracking.config import TrackingConfig
from walt.tracking.runs import start_run
from walt.training import checkpoint
from walt.training.compilation import compile_blocks
from walt.training.config import DiffusionTrainingConfig
from walt.training.diffusion_objective import BatchMaker, DiffusionObjective
from walt.training.loop import train
from walt.transformer.aspect import at_aspect
from walt.transformer.config import TransformerConfig
from walt.transformer.io import load_transformer, save_transformer
from walt.transformer.model import WaltTransformer


def train_transformer(
    *,
    name: str,
    code: str,
    section: str,
    output: Path,
    architecture: TransformerConfig,
    training: DiffusionTrainingConfig,
    diffusion: DiffusionConfig,
    seed: int,
    compute: ComputeConfig,
    tracking: TrackingConfig,
    paths: Paths,
    start_from: Path | None = None,
) -> dict[str, Any]:
    """Train, publish under ``output``, register as a model version; returns the stage's figures.

    Args:
        section: of the model in ``params.yaml``.
        code: digest of the calling stage's code: a checkpoint that other code made is not taken up.
        start_from: folder of a trained model of the same kind, perhaps with another grid, whose weights are the first.

    Raises:
        ConfigurationError: the data do not fit the model, or ``start_from`` not the architecture.
        RejectLimitError: there are no clips of the kind that is to be trained on.
    """
    torch.manual_seed(seed)
    device = select_device(compute.device)
    keep_freed_memory(device)
    model = WaltTransformer(architecture)
    if start_from is not None:
        model.load_state_dict(weights_for(start_from, architecture))
    model = model.to(device)
    model.activation_checkpointing = training.activation_checkpointing
    if training.compile:
        compile_blocks(model.blocks, device, f"{name.replace('-', '_')}.compile")
    schedule = Schedule.from_config(diffusion)
    size, low_size = architecture.resolution, low_resolution_size(architecture)
    conditions = open_conditions(paths.text, architecture.conditioning, architecture.num_classes)
    check_text_width(conditions, architecture, section)
    maker = BatchMaker(
        model.config,
        schedule,
        LatentDataset(paths.latents, size, "train"),
        LatentDataset(paths.latents, low_size, "train") if low_size else None,
        conditions,
        training.condition_dropout,
        training.frame_prediction_probability,
        seed,
    )
    objective = DiffusionObjective(model, schedule, maker, training, seed)
    settings = {
        "seed": seed,
        "architecture": architecture.model_dump(mode="json"),
        "diffusion": diffusion.model_dump(mode="json"),
    }
    data: dict[str, Any] = {"data": _data_digests(paths, [size, low_size] if low_size else [size])}
    if start_from is not None:
        data["start_from"] = weights_digest(start_from)
    with (
        start_run(
            tracking, paths.root, name, {**settings, "training": training.model_dump(mode="json")}, tags={}
        ) as tracked,
        PrefetchedSteps(objective.batch, stop=training.steps, depth=prefetch_depth(device)) as batches,
    ):
        result = train(
            name=name,
            model=model,
            losses=lambda step: objective.losses(step, batches(step)),
            config=training,
            identity={**settings, **data, "code": code},
            work=paths.work(name),
            on_log=lambda step, metrics: tracked.log_metrics(metrics, step),
        )
        figures = {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "steps": training.steps,
            "loss": result.history[-1]["loss"],
        }
        with atomic_directory(output) as folder:
            save_transformer(folder, model, result.state_dict)
            write_json(folder / "metrics.json", figures)
            write_json(folder / "history.json", result.history)
        tracked.register_model(output, section.replace("_", "-"))
    checkpoint.discard(paths.work(name))  # a forced rerun must not find its work already done
    return {**figures, "videos": len(maker.latents.video_keys), "images": len(maker.latents.image_keys)}


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
    files |= {name: paths.text / file for name, file in (("text", INDEX_NAME), ("labels", LABELS_TABLE))}
    return {name: sha256_file(file) for name, file in files.items() if file.is_file()}  # no text, no index
