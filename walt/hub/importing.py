"""A folder that ``walt export model`` wrote, back as the models of a project: the same weights, byte for byte."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.left_out import NOTE
from walt.core.own_digest import read_json_with_digest
from walt.core.paths import Paths
from walt.core.storage import atomic_directory, write_bytes, write_json
from walt.hub import layout
from walt.hub.exporting import is_diffusers_autoencoder
from walt.nn.pretrained import WEIGHTS, check_weights
from walt.project.params import Params
from walt.text.encoder import DESCRIPTION, TINY, TINY_FOLDER, checked_description, open_text_encoder
from walt.tracking.releases import MODEL_ARTIFACTS
from walt.tracking.server import folder_digest

TEXT = "text-encoder"
"""Its name in the registry."""


@dataclass(frozen=True)
class Imported:
    """What came back."""

    folders: dict[str, Path]
    """Name of the model in the registry -> its folder in the project, the base model first."""
    differences: tuple[str, ...]
    """Settings of ``params.yaml`` that give other samples than those that the models were exported with."""
    origin: dict[str, str]
    """Where they are from, and the SHA-256 of the folder's ``walt.json``."""


def import_models(folder: Path, name: str, params: Params, root: Path, *, replace: bool = False) -> Imported:
    """Take the models of ``folder`` into ``models/`` of the project at ``root``, all or none.

    Nothing that the folder holds is run, and no pickle is read.

    Args:
        name: of the folder, in messages.
        replace: whether models that are there may be replaced.

    Raises:
        ConfigurationError: the folder is not one of ours, or holds a pickle; the project has other models; its
            diffusion or its latents' normalisation are others than those of the models.
        CorruptArtifactError: a file is missing, differs from ``walt.json``, or is not the weights that it should be.
        StorageError: the disk is full or read-only.
    """
    manifest = layout.read_manifest(folder, name)
    models = _models(manifest, name)
    _check_settings(manifest["settings"], params, name)
    paths = Paths(root)
    places = {short: getattr(paths, artifact) for short, artifact in MODEL_ARTIFACTS.items()}
    others = [place for short, place in places.items() if _is_other(place, models.get(short), short)]
    if others and not replace:
        raise ConfigurationError(f"{others[0]}: another model is there; --replace puts the imported ones in its place")
    with ExitStack() as whole:  # all are made before the first is put in its place
        for short, place in reversed(places.items()):
            target = whole.enter_context(atomic_directory(place))
            if short in models:
                _take_back(folder, name, short, models[short], target)
            else:
                write_json(target / NOTE, {"left_out": f"not among the models that were imported from {name}"})
    own, theirs = params.sample.model_dump(mode="json"), manifest["settings"]["sample"]
    differing = (f"sample.{key}: {theirs[key]} there, {own[key]} here" for key in own if theirs.get(key) != own[key])
    origin = {"from": name, "walt.json": sha256_file(folder / layout.MANIFEST)}
    return Imported({short: places[short] for short in places if short in models}, tuple(differing), origin)


def _models(manifest: Mapping[str, Any], name: str) -> dict[str, dict[str, str]]:
    """Name in the registry -> component and digest, as ``walt.json`` says."""
    found = manifest.get("models")
    components = {layout.TRANSFORMER, *layout.FOLLOWING, layout.AUTOENCODER, layout.TEXT_ENCODER}
    fits = isinstance(found, dict) and all(
        short in MODEL_ARTIFACTS and isinstance(model, dict) and model.get("component") in components
        for short, model in found.items()
    )
    if not fits or not isinstance(manifest.get("settings"), dict):
        raise CorruptArtifactError(f"{name}/{layout.MANIFEST}: it names models that this version does not know")
    return dict(found)  # type: ignore[arg-type]


def _check_settings(settings: Mapping[str, Any], params: Params, name: str) -> None:
    """Raise ConfigurationError, naming each setting, where the models would make noise with the project's."""
    own = {f"diffusion.{key}": value for key, value in params.diffusion.model_dump(mode="json").items()}
    own["encode_video.normalize_latents"] = params.encode_video.normalize_latents
    theirs = {f"diffusion.{key}": value for key, value in settings.get("diffusion", {}).items()}
    theirs["encode_video.normalize_latents"] = settings.get("normalize_latents")
    differing = [f"{key}: {theirs.get(key)} there, {own[key]} here" for key in own if theirs.get(key) != own[key]]
    if differing:
        raise ConfigurationError(f"{name}: made with other settings than params.yaml has ({'; '.join(differing)})")


def _is_other(place: Path, model: Mapping[str, str] | None, short: str) -> bool:
    """Whether a project has a model that is neither left out nor the one that comes."""
    if not place.is_dir() or (place / NOTE).is_file() or not any(place.iterdir()):
        return False
    if model is None or folder_digest(place) == model["digest"]:
        return model is None
    return short != TEXT or checked_description(place, place)["digest"] != model["encoder"]


def _take_back(folder: Path, name: str, short: str, model: Mapping[str, str], target: Path) -> None:
    """Make a model's folder as it was. Raises CorruptArtifactError where it is not."""
    originals = folder / layout.PROJECT / short
    for file in sorted(path for path in originals.rglob("*") if path.is_file()):
        copy = target / file.relative_to(originals)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    if short != TEXT:
        prefix = "" if is_diffusers_autoencoder(target) else layout.PREFIX
        _take_back_weights(folder / model["component"] / layout.WEIGHTS, name, target, prefix)
    elif not _take_back_encoder(folder, name, target):
        return  # it lay elsewhere: its weights are with it now
    if folder_digest(target) != model["digest"]:
        raise CorruptArtifactError(f"{name}: the {short} in it is not the one that was exported")


def _take_back_weights(file: Path, name: str, target: Path, prefix: str) -> None:
    """The weights under our names, in the bytes that ``config.json`` names by their SHA-256."""
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise CorruptArtifactError(f"{name}/{file.parent.name}/{file.name}: {error}") from None
    write_bytes(target / WEIGHTS, save({key.removeprefix(prefix): value for key, value in tensors.items()}))
    check_weights(target)


def _take_back_encoder(folder: Path, name: str, target: Path) -> bool:
    """Weights and tokenizer beside ``encoder.json``, also of an encoder that lay elsewhere; whether it did not."""
    if not (target / DESCRIPTION).is_file():
        raise CorruptArtifactError(f"{name}/{layout.PROJECT}/{TEXT}/{DESCRIPTION}: missing")
    described, own = read_json_with_digest(target / DESCRIPTION)[0], target / TINY_FOLDER
    own.mkdir(exist_ok=True)
    made_here = described["source"] == TINY
    for part in (layout.TEXT_ENCODER,) if made_here else (layout.TEXT_ENCODER, layout.TOKENIZER):
        for file in sorted((folder / part).iterdir()):
            if file.suffix == ".safetensors" or not made_here:
                shutil.copyfile(file, own / file.name)
    encoder = open_text_encoder(TINY, described["max_tokens"], "cpu", target)
    if encoder.digest != described["digest"]:
        raise CorruptArtifactError(f"{name}: the text encoder in it is not the one that was exported")
    if not made_here:
        encoder.describe(target)
    return bool(made_here)
