"""A project's models as a folder that ``diffusers`` loads, with the code that they need (``walt.hub.own_code``)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.diffusers_vae import DESCRIPTION
from walt.autoencoder.io import read_statistics
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.left_out import is_left_out
from walt.core.own_digest import read_json_with_digest
from walt.core.storage import atomic_directory, check_folder_writable, write_bytes, write_json
from walt.core.transformers import TRANSFORMERS
from walt.hub import layout
from walt.hub.own_code import code_name, own_code
from walt.hub.tensors import tensor_bytes
from walt.nn.pretrained import WEIGHTS, check_weights, load_config, weights_digest
from walt.project.params import Params
from walt.project.trained_transformers import making_videos_of
from walt.project.untrained_sampling import saw_images
from walt.text.encoder import TINY, TINY_FOLDER, load_text_encoder, save_for_others
from walt.tracking.releases import release_digests
from walt.transformer.config import TransformerConfig

_CODE = "walt.hub.diffusers_models"
_LIBRARIES = {layout.TEXT_ENCODER, layout.TOKENIZER}
"""Components whose class is transformers' own."""


@dataclass(frozen=True)
class Exported:
    """What a folder holds, for its card."""

    components: dict[str, Path]
    """Name of the component -> the folder of the project's model, the transformers in their order."""
    architectures: dict[str, TransformerConfig]
    """Of the transformers, by component."""
    text: dict[str, Any] | None
    """Of the text encoder: ``max_tokens``, ``source``, ``digest``."""
    code: str
    """The file that runs on loading."""
    code_sha256: str
    digests: dict[str, str]
    """Name of the model in the registry -> digest of its folder."""


def check_target(folder: Path) -> None:
    """Raise ConfigurationError where ``folder`` holds what `walt export model` did not write; StorageError where it
    cannot be written."""
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder}: a file; choose a new folder")
    if folder.is_dir() and any(folder.iterdir()) and not layout.is_ours(folder):
        raise ConfigurationError(f"{folder}: holds files that `walt export model` did not write; choose a new folder")
    check_folder_writable(folder)


def export_models(folders: Mapping[str, Path], params: Params, root: Path, target: Path, card: Any) -> Exported:
    """Write ``target``, as a whole or not at all. The same models and settings give the same bytes.

    Args:
        folders: name in the registry, without the prefix -> folder, as ``walt.tracking.releases``.
        params: of the project: sampling, diffusion and the normalisation of latents go with the models.
        card: ``Exported`` -> the text of the folder's README.md.

    Raises:
        ConfigurationError: ``target`` holds other files, or a model is missing or does not fit.
        StorageError, CorruptArtifactError: a model is missing or damaged, or the disk is full.
    """
    check_target(target)
    components = _components(folders)
    text = own_code(_CODE)
    name = code_name(text)
    with atomic_directory(target) as place:
        index: dict[str, Any] = {"_class_name": [name, "WaltPipeline"], "_diffusers_version": layout.DIFFUSERS}
        architectures = {}
        for component, folder in components.items():
            if component == layout.AUTOENCODER:
                index[component] = _write_autoencoder(place / component, folder, params, name)
            else:
                architectures[component] = _write_transformer(place / component, folder)
        for component in (layout.TRANSFORMER, *layout.FOLLOWING):
            index[component] = [name, "WaltTransformerModel"] if component in components else [None, None]
        index[layout.SCHEDULER] = [name, "WaltScheduler"]
        write_json(place / layout.SCHEDULER / "scheduler_config.json", _about("WaltScheduler") | _diffusion(params))
        encoder = _write_text_encoder(place, folders, architectures, root)
        for component in _LIBRARIES:
            index[component] = [None, None] if encoder is None else ["transformers", encoder["classes"][component]]
        index["sampling"] = _sampling(params, folders, components, encoder)
        write_json(place / layout.MODEL_INDEX, index)
        for where in ("", *components, layout.SCHEDULER):
            write_bytes(place / where / f"{name}.py", text.encode())
        _write_originals(place, folders, components, encoder)
        exported = Exported(
            components,
            architectures,
            encoder,
            f"{name}.py",
            sha256_file(place / f"{name}.py"),
            release_digests(folders),
        )
        write_bytes(place / layout.CARD, card(exported).encode())
        layout.write_manifest(place, _manifest(exported, folders, params))
    return exported


def _components(folders: Mapping[str, Path]) -> dict[str, Path]:
    """The models that make a video, in their order: the base model as finetuned, where it was."""
    found = making_videos_of(folders)
    following = [t.name for t in TRANSFORMERS if t.super_resolution and t.name in found]
    first = [name for name in found if name not in following]
    if len(first) != 1 or "autoencoder" not in folders:
        raise ConfigurationError("these models make no video: a base transformer and an autoencoder are needed")
    names = [layout.TRANSFORMER, *layout.FOLLOWING]
    components = dict(zip(names, [found[name] for name in [*first, *following]], strict=False))
    return components | {layout.AUTOENCODER: folders["autoencoder"]}


def _about(class_name: str) -> dict[str, Any]:
    return {"_class_name": class_name, "_diffusers_version": layout.DIFFUSERS}


def _diffusion(params: Params) -> dict[str, Any]:
    return params.diffusion.model_dump(mode="json")


def _write_transformer(place: Path, folder: Path) -> TransformerConfig:
    config = load_config(folder, TransformerConfig)
    architecture = config.model_dump(mode="json")
    write_json(place / layout.CONFIG, _about("WaltTransformerModel") | {"architecture": architecture})
    _write_weights(place, folder)
    return config


def _write_autoencoder(place: Path, folder: Path, params: Params, code: str) -> list[str]:
    """One of diffusers goes out as diffusers saves it, what we know of it among the pipeline's settings. Returns the
    component's entry in the index: library and class."""
    if is_diffusers_autoencoder(folder):
        about, _ = read_json_with_digest(folder / DESCRIPTION)
        write_json(place / layout.CONFIG, about)
        _write_weights(place, folder, prefix="")
        return ["diffusers", about["_class_name"]]
    write_json(place / layout.CONFIG, _about("WaltAutoencoder") | _latents(folder, params))
    _write_weights(place, folder)
    return [code, "WaltAutoencoder"]


def is_diffusers_autoencoder(folder: Path) -> bool:
    """Whether a project's autoencoder is one of diffusers, taken as it was."""
    return (folder / DESCRIPTION).is_file()


def _latents(folder: Path, params: Params) -> dict[str, Any]:
    """What makes latents of an autoencoder those that the transformers know."""
    return {
        "architecture": load_config(folder, AutoencoderConfig).model_dump(mode="json"),
        "statistics": read_statistics(folder).to_json(),
        "normalize": params.encode_video.normalize_latents,
    }


def _write_weights(place: Path, folder: Path, prefix: str = layout.PREFIX) -> None:
    """The weights under a component's names; the metadata says which file of ours they are."""
    check_weights(folder)
    tensors = {prefix + name: tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    write_bytes(place / layout.WEIGHTS, tensor_bytes(tensors, {"walt.weights_sha256": weights_digest(folder)}))


def _write_text_encoder(
    place: Path, folders: Mapping[str, Path], architectures: Mapping[str, TransformerConfig], root: Path
) -> dict[str, Any] | None:
    """Text encoder and tokenizer as transformers saves them; None where no model takes text."""
    if all(config.conditioning != "text" for config in architectures.values()):
        return None
    if "text-encoder" not in folders:
        raise ConfigurationError("these models take text, and no text encoder is with them")
    encoder = load_text_encoder(folders["text-encoder"], "cpu", root)
    classes = save_for_others(encoder, place / layout.TEXT_ENCODER, place / layout.TOKENIZER)
    if encoder.source == TINY:  # the very file, whose digest encoder.json has
        own = folders["text-encoder"] / TINY_FOLDER / WEIGHTS
        shutil.copyfile(own, place / layout.TEXT_ENCODER / WEIGHTS)
    return {
        "source": encoder.source, "max_tokens": encoder.max_tokens, "digest": encoder.digest, "width": encoder.width,
        "vocabulary": len(encoder._tokenizer),
        "classes": dict(zip((layout.TEXT_ENCODER, layout.TOKENIZER), classes, strict=True)),
    }  # fmt: skip


def _sampling(
    params: Params, folders: Mapping[str, Path], components: Mapping[str, Path], encoder: Mapping[str, Any] | None
) -> dict[str, Any]:
    settings = params.sample.model_dump(mode="json")
    settings |= {"prompts": "none", "count": 1, "caption": None}  # which prompts a project's stage takes is its own
    settings["cascade"] = settings["cascade"] and layout.FOLLOWING[0] in components
    autoencoder = components[layout.AUTOENCODER]
    return {
        "settings": settings,
        "max_tokens": None if encoder is None else encoder["max_tokens"],
        "vocabulary": None if encoder is None else encoder["vocabulary"],
        "megapixels_at_once": params.compute.megapixels_at_once,
        "trained_on_images": _trained_on_images(params, folders, components),
        "latents": _latents(autoencoder, params) if is_diffusers_autoencoder(autoencoder) else None,
    }


def _trained_on_images(params: Params, folders: Mapping[str, Path], components: Mapping[str, Path]) -> list[str]:
    """The components of transformers that saw images too in training, and so make stills."""
    names = {folders[t.version_name]: t.name for t in TRANSFORMERS if t.version_name in folders}
    trained = {name: training for name, (_, training) in params.transformers().items()}
    return [
        component for component, folder in components.items()
        if (training := trained.get(names.get(folder, ""))) is not None and saw_images(folder, training)
    ]  # fmt: skip


def _write_originals(
    place: Path, folders: Mapping[str, Path], components: Mapping[str, Path], encoder: Mapping[str, Any] | None
) -> None:
    """What the project's folders hold besides weights, which are in the components."""
    for name, folder in folders.items():
        if folder not in components.values() and not (name == "text-encoder" and encoder is not None):
            continue
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"):
            copy = place / layout.PROJECT / name / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def _manifest(exported: Exported, folders: Mapping[str, Path], params: Params) -> dict[str, Any]:
    by_folder = {folder: component for component, folder in exported.components.items()}
    models = {
        name: {"component": by_folder[folder], "digest": exported.digests[name]}
        for name, folder in folders.items() if folder in by_folder and not is_left_out(folder)
    }  # fmt: skip
    if exported.text is not None:
        models["text-encoder"] = {
            "component": layout.TEXT_ENCODER, "digest": exported.digests["text-encoder"],
            "encoder": exported.text["digest"],
        }  # fmt: skip
    return {
        "models": models,
        "settings": {
            "diffusion": _diffusion(params),
            "normalize_latents": params.encode_video.normalize_latents,
            "sample": params.sample.model_dump(mode="json"),
        },
    }
