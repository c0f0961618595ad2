"""The release that has the alias, sampled from and evaluated as the project's own models were.

It happens in a project of its own, ``work/promote/champion``: the same parameters, clips and prompts, other models.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from walt.autoencoder.config import AutoencoderConfig
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.left_out import NOTE, is_left_out
from walt.core.paths import ARTIFACTS, Paths
from walt.core.sizes import Size, size_folder
from walt.core.storage import read_json, write_json
from walt.data.clip_table import read_clip_rows
from walt.data.shards import INDEX_NAME
from walt.nn.pretrained import load_config
from walt.project.params import Params
from walt.project.registry import get_stage
from walt.project.runner import PARAMS_FILE, run_stage
from walt.project.trained_transformers import cascade, trained_transformers
from walt.tracking.releases import MODEL_ARTIFACTS
from walt.tracking.server import folder_digest, resolve_uri
from walt.transformer.config import TransformerConfig

_OF_LATENTS = {"latents": "autoencoder", "text": "text_encoder"}
"""What a model made of the clips and captions -> that model."""


def measure_champion(params: Params, root: Path, models: Mapping[str, Path]) -> dict[str, Any]:
    """Sample from other models and evaluate them with this project's settings, clips and prompts.

    Held-out losses are left out where the autoencoder or the text encoder is another, or a size has no latents: what is
    here of latents and embeddings does not fit then.

    Args:
        models: name in the registry, without the prefix -> folder; what is missing is left out.

    Returns:
        The content of ``results/evaluation.json`` for them.

    Raises:
        ConfigurationError: they cannot be sampled from or evaluated with these settings, or make videos of a size or
            length of which no clips are stored.
        StorageError: the disk is full, or MLflow cannot be reached.
    """
    place = Paths(Paths(root).work("promote") / "champion")
    shutil.rmtree(place.root, ignore_errors=True)
    try:
        _furnish(place, Paths(root), models)
        _check_form(place, params.sample.cascade)
        write_json(place.root / PARAMS_FILE, _with_absolute_paths(params, Paths(root)))
        for stage in ("sample", "evaluate"):
            run_stage(get_stage(stage), place.root)
    except (ConfigurationError, CorruptArtifactError) as error:
        raise ConfigurationError(f"the release with the alias cannot be measured here: {error}") from error
    evaluation: dict[str, Any] = read_json(place.evaluation)
    return evaluation


def _furnish(place: Paths, project: Paths, models: Mapping[str, Path]) -> None:
    """Put the models, and links to the project's data, where the stages look for them."""
    artifacts = {MODEL_ARTIFACTS[name]: folder for name, folder in models.items()}
    for artifact in MODEL_ARTIFACTS.values():
        _link(place, artifact, artifacts.get(artifact), "this release has none")
    for artifact in ("clips", "manifest", "captions"):
        _link(place, artifact, getattr(project, artifact), "")
    fits = all(_digest(getattr(place, model)) == _digest(getattr(project, model)) for model in _OF_LATENTS.values())
    fits = fits and all(
        _is_stored(project.latents, _config(model).resolution) for model in trained_transformers(place).values()
    )
    for artifact in _OF_LATENTS:
        _link(place, artifact, getattr(project, artifact) if fits else None, "those here are of other models")


def _check_form(place: Paths, super_resolution: bool) -> None:
    """Raise ConfigurationError where no stored clip has the size and the length of what the models make."""
    config = _config([*cascade(place, super_resolution).values()][-1])
    otherwise = "or, where these models are not to take its place, give them another tracking.model_prefix"
    if not _is_stored(place.clips, config.resolution):
        raise ConfigurationError(
            f"it makes videos of {size_folder(config.resolution)}, and no clips are stored in that size: add it to "
            f"ingest.sizes; {otherwise}"
        )
    factor = load_config(place.autoencoder, AutoencoderConfig).temporal_factor
    frames = 1 + factor * (config.latent_grid[0] - 1)
    if is_left_out(place.clips):
        return
    stored = sorted({row.num_frames for row in read_clip_rows(place.clips)})
    if frames not in stored:
        raise ConfigurationError(
            f"it makes videos of {frames} frames, and the stored clips have {' or '.join(map(str, stored))}: what is "
            f"measured of them would not be comparable; set ingest.num_frames to {frames}, {otherwise}"
        )


def _config(transformer: Path) -> TransformerConfig:
    return load_config(transformer, TransformerConfig)


def _is_stored(data: Path, size: Size) -> bool:
    return is_left_out(data) or (data / size_folder(size) / INDEX_NAME).is_file()


def _link(place: Paths, artifact: str, target: Path | None, why_not: str) -> None:
    path = place.root / ARTIFACTS[artifact]
    path.parent.mkdir(parents=True, exist_ok=True)
    if target is None:
        write_json(path / NOTE, {"left_out": why_not})
    else:
        path.symlink_to(target.resolve())


def _digest(folder: Path) -> str:
    return "left out" if is_left_out(folder) else folder_digest(folder.resolve())


def _with_absolute_paths(params: Params, project: Paths) -> dict[str, Any]:
    """The parameters as JSON (which is YAML), for a project in another folder."""
    content = params.model_dump(mode="json")
    content["dataset"]["descriptor"] = str(project.resolve(params.dataset.descriptor))
    content["dataset"]["path"] = str(project.resolve(params.dataset.path))
    evaluate = content["evaluate"]
    for file in (*evaluate["networks"].values(), *evaluate["statistics"].values()):
        file["path"] = str(project.resolve(file["path"]))
    content["tracking"]["uri"] = resolve_uri(params.tracking.uri, project.root)
    return content
