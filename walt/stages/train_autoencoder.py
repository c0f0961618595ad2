"""Stage train-autoencoder: clips -> the causal autoencoder and the statistics of its latents."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.diffusers_vae import DESCRIPTION, THEIR_WEIGHTS, is_foreign, read_foreign
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.inflation import load_initial_weights
from walt.autoencoder.io import STATISTICS, load_frozen, save_autoencoder, save_foreign
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.perceptual import PerceptualNetwork
from walt.autoencoder.statistics import LatentStatistics
from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.log import info
from walt.core.paths import Paths, located
from walt.core.ranks import ranks
from walt.core.sizes import Size, size_folder
from walt.core.storage import atomic_directory, write_bytes, write_json
from walt.data.clip_dataset import ClipDataset
from walt.data.clip_table import CLIPS_TABLE
from walt.data.prefetch import PrefetchedSteps
from walt.data.shards import INDEX_NAME
from walt.nn.causal import use_channels_last
from walt.nn.collectives import first_goes_ahead
from walt.nn.device import prefetch_depth, select_device
from walt.nn.pretrained import CONFIG, WEIGHTS, weights_digest
from walt.project.code_identity import code_digests
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import GivenModel, forget, given_model
from walt.tracking.runs import start_run
from walt.training import continuation
from walt.training.autoencoder_config import AutoencoderTrainingConfig
from walt.training.autoencoder_measures import held_out_psnr, measure_latents
from walt.training.autoencoder_objective import AutoencoderObjective, trained_sizes
from walt.training.config import ResumeConfig
from walt.training.loop import TrainingResult, train
from walt.training.parallel import shard
from walt.training.validation import Log, Validation, Validator

NAME = "train-autoencoder"


class Config(Section):
    """What this stage reads of ``params.yaml``."""

    seed: int
    autoencoder: AutoencoderConfig
    train_autoencoder: AutoencoderTrainingConfig
    compute: ComputeConfig
    tracking: TrackingConfig
    resume: ResumeConfig


def run(config: Config, paths: Paths, validator: Validator | None = None) -> dict[str, Any]:
    """Train, measure latents and held-out PSNR, publish ``models/autoencoder``; or publish what is frozen.

    Args:
        validator: looks at the model meanwhile, where the training's section asks for it.
    """
    training = config.train_autoencoder
    if training.frozen is not None:
        return _publish_frozen(config, training.frozen, paths)  # by one process: there is nothing to spread
    torch.manual_seed(config.seed)
    device = select_device(config.compute.device)
    model = CausalAutoencoder(config.autoencoder).to(device)
    model.activation_checkpointing = training.activation_checkpointing
    use_channels_last(model)
    weights: dict[str, str] = {}  # of networks that were trained before: digests, by key of the section
    tags: dict[str, str] = {}
    if training.initial_weights is not None:
        with first_goes_ahead():  # one fetches, the others find
            given = given_model(config.tracking, paths.root, training.initial_weights, paths.work(NAME))
        weights["initial_weights"] = load_initial_weights(model, given.folder)
        tags = given.tags("initial_weights", weights["initial_weights"])
    discriminator, perceptual = _loss_networks(training, paths, device)
    if config.compute.sharding == "full" and ranks().count > 1:
        _shard(model, discriminator)
    if perceptual is not None:
        weights["perceptual_network"] = perceptual.digest()
    objective = AutoencoderObjective(model, training, paths, config.seed, discriminator, perceptual)
    for name in (name for name, weight in training.loss.model_dump().items() if not weight):
        info(f"{NAME}: the {name} term has weight 0 and is left out")
    identity = _identity(config, paths, weights)
    with first_goes_ahead():
        beginning = continuation.begin(NAME, paths.work(NAME), identity, training, config.resume.if_different)
    params = _parameters(config)
    with (
        start_run(config.tracking, paths.root, NAME, params, tags | beginning.tags()) as tracked,
        PrefetchedSteps(objective.batch, stop=training.steps, depth=prefetch_depth(device)) as batches,
    ):
        result = train(
            name=NAME,
            model=model,
            losses=lambda step: objective.losses(step, batches(step)),
            config=training,
            identity=identity,
            work=paths.work(NAME),
            on_log=lambda step, metrics: tracked.log_metrics(metrics, step),
            second_model=objective.second_model(),
            validation=_validation(config, paths, validator, tracked),
        )
        model, megapixels = _trained(config.autoencoder, result, device), config.compute.megapixels_at_once
        statistics, errors = measure_latents(model, objective.datasets, training, config.seed, megapixels)
        metrics = held_out_psnr(model, paths.clips, training, megapixels) | errors
        if ranks().is_first:
            _publish(paths.autoencoder, model, statistics, metrics, result)
            tracked.log_metrics(metrics, training.steps)
            tracked.register_model(paths.autoencoder, "autoencoder")
    if ranks().is_first:
        continuation.finish(paths.work(NAME), config.resume.kept_set_aside)
        forget(paths.work(NAME))
    return {"parameters": sum(p.numel() for p in model.parameters()), "steps": training.steps, **metrics}


def _validation(config: Config, paths: Paths, validator: Validator | None, log: Log) -> Validation | None:
    """What looks at the model: its PSNR on some held-out clips is measured as on all of them in the end."""
    training, megapixels = config.train_autoencoder, config.compute.megapixels_at_once
    if validator is None or training.validation is None:
        return None

    def psnr(model: nn.Module, of: Mapping[Size, Collection[str]]) -> dict[str, float]:
        assert isinstance(model, CausalAutoencoder)
        return held_out_psnr(model, paths.clips, training, megapixels, of)

    return validator(log, psnr)


def _shard(model: CausalAutoencoder, discriminator: Discriminator | None) -> None:
    """Leave this rank its share of each network."""
    for network, layers in model.parts():
        shard(network, layers)
    if discriminator is not None:
        shard(discriminator, discriminator.blocks, twice=True)  # by R1


def _publish_frozen(config: Config, address: str, paths: Paths) -> dict[str, Any]:
    """Publish a trained autoencoder byte for byte, after a look at how well it does on the held-out clips.

    The figures of that look are the run's alone: with the same files it stays the same version in the registry.
    """
    training = config.train_autoencoder
    device = select_device(config.compute.device)
    given = given_model(config.tracking, paths.root, address, paths.work(NAME))
    if given.folder.resolve() == paths.autoencoder.resolve():
        raise ConfigurationError(
            f"train_autoencoder.frozen is {address}, which this stage replaces: name a copy, or a version in the "
            "registry"
        )
    if is_foreign(given.folder):
        return _publish_foreign(config, given, paths)
    model = load_frozen(given.folder, config.autoencoder, device)
    digest = weights_digest(given.folder)
    params = _parameters(config)
    with start_run(config.tracking, paths.root, NAME, params, given.tags("frozen", digest)) as tracked:
        metrics = held_out_psnr(model, paths.clips, training, config.compute.megapixels_at_once)
        tracked.log_metrics(metrics, 0)
        with atomic_directory(paths.autoencoder) as folder:
            foreign = (DESCRIPTION,) if (given.folder / DESCRIPTION).is_file() else ()
            for name in (WEIGHTS, CONFIG, STATISTICS, *foreign):
                write_bytes(folder / name, (given.folder / name).read_bytes())
            for name, content in {"metrics.json": metrics, "history.json": []}.items():
                if (given.folder / name).is_file():
                    write_bytes(folder / name, (given.folder / name).read_bytes())
                else:
                    write_json(folder / name, content)
            if weights_digest(folder) != digest:
                raise CorruptArtifactError(f"{given.folder / WEIGHTS}: changed while it was copied")
        tracked.register_model(paths.autoencoder, "autoencoder")
    forget(paths.work(NAME))
    info(f"{NAME}: {address} is published as it is; nothing was trained")
    figures = {"parameters": sum(p.numel() for p in model.parameters()), "steps": 0, **metrics}
    return {**figures, **given.provenance, "sha256": digest}


def _publish_foreign(config: Config, given: GivenModel, paths: Paths) -> dict[str, Any]:
    """Publish an autoencoder of diffusers (``walt.autoencoder.diffusers_vae``) with the statistics of its latents over
    the clips that are here."""
    training, megapixels = config.train_autoencoder, config.compute.megapixels_at_once
    model, about = read_foreign(given.folder, config.autoencoder, select_device(config.compute.device))
    datasets = {size: ClipDataset(paths.clips, size, "train") for size in trained_sizes(training)}
    statistics, errors = measure_latents(model, datasets, training, config.seed, megapixels)
    metrics = held_out_psnr(model, paths.clips, training, megapixels) | errors
    digest = sha256_file(given.folder / THEIR_WEIGHTS)
    params = {"seed": config.seed, "autoencoder": config.autoencoder.model_dump(), NAME: training.model_dump()}
    with start_run(config.tracking, paths.root, NAME, params, given.tags("frozen", digest)) as tracked:
        tracked.log_metrics(metrics, 0)
        with atomic_directory(paths.autoencoder) as folder:
            save_foreign(folder, model, about, statistics)
            write_json(folder / "metrics.json", metrics)
            write_json(folder / "history.json", [])
        tracked.register_model(paths.autoencoder, "autoencoder")
    forget(paths.work(NAME))
    info(f"{NAME}: the {about['_class_name']} in {given.provenance['address']} is the first stage; nothing was trained")
    figures = {"parameters": sum(p.numel() for p in model.parameters()), "steps": 0, **metrics}
    return {**figures, **given.provenance, "sha256": digest}


def _trained(architecture: AutoencoderConfig, result: TrainingResult, device: str) -> CausalAutoencoder:
    """The trained model, whole on every rank."""
    model = CausalAutoencoder(architecture).to(device).eval()
    use_channels_last(model)
    model.load_state_dict(result.state_dict)
    return model


def _publish(
    output: Path,
    model: CausalAutoencoder,
    statistics: LatentStatistics,
    metrics: dict[str, float],
    result: TrainingResult,
) -> None:
    """Write the trained model's folder."""
    with atomic_directory(output) as folder:
        save_autoencoder(folder, model, statistics)
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "history.json", result.history)
        continuation.write_changes(folder, result.changes)


def _loss_networks(
    training: AutoencoderTrainingConfig, paths: Paths, device: str
) -> tuple[Discriminator | None, PerceptualNetwork | None]:
    """The networks that the loss needs besides the autoencoder. Raises ConfigurationError: one is not available."""
    discriminator = perceptual = None
    if training.discriminator is not None:
        discriminator = Discriminator(training.discriminator).to(device)
        use_channels_last(discriminator)
    if training.perceptual_network is not None:
        perceptual = PerceptualNetwork(_folder(paths, training.perceptual_network)).to(device)
        perceptual.check_sizes(trained_sizes(training))
    return discriminator, perceptual


def _folder(paths: Paths, name: str) -> Path:
    """A folder that the configuration names; relative ones are under the root."""
    return located(paths.root, name)


def _identity(config: Config, paths: Paths, weights: dict[str, str]) -> dict[str, Any]:
    """What the run is besides the training section, which ``train`` adds, by ``walt.training.differences``."""
    return {
        "settings": {"seed": config.seed, "autoencoder": config.autoencoder.model_dump(mode="json")},
        "data": _data(paths, config.train_autoencoder),
        "weights": weights,
        "code": code_digests(__name__),
        "compute": config.compute.model_dump(mode="json"),
    }


def _parameters(config: Config) -> dict[str, Any]:
    """The settings of a run, for people, who compare runs by them: under the names of the other trainings."""
    return {
        "seed": config.seed,
        "architecture": config.autoencoder.model_dump(mode="json"),
        "training": config.train_autoencoder.model_dump(mode="json"),
    }


def _data(paths: Paths, training: AutoencoderTrainingConfig) -> dict[str, str]:
    """The identity of the training data."""
    files = [
        paths.clips / CLIPS_TABLE,
        *(paths.clips / size_folder(size) / INDEX_NAME for size in trained_sizes(training)),
    ]
    return {file.relative_to(paths.clips).as_posix(): sha256_file(file) for file in files}
