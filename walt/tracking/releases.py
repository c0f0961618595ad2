"""What a release is: the models of a project that were evaluated together, and the digests by which they are known.

The base transformer comes first; its versions carry the release's figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.transformers import TRANSFORMERS
from walt.tracking.server import folder_digest

MODEL_ARTIFACTS = {transformer.version_name: transformer.name for transformer in TRANSFORMERS} | {
    "autoencoder": "autoencoder", "text-encoder": "text_encoder",
}  # fmt: skip
"""What a registered model is called, without the prefix -> the name of its artefact in ``walt.core.paths``."""

METRIC_TAG = "walt.metric/"
"""Before the name of a metric: a tag on a model version, with the value and interval that its release reached."""


def tag_of(tag: str, models: Mapping[str, str]) -> str:
    """The tag of a release's own, where its version of the deciding model is also in others.

    Args:
        models: name of each model without the prefix -> its version, or its digest.
    """
    return f"{tag}.{sha256_json(dict(models))[:16]}"


def tag_mapping(text: str | None) -> dict[str, Any]:
    """What a tag of ours says in JSON; empty where there is none, or somebody made something else of it in MLflow."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def measured_models(text: str | None) -> dict[str, str]:
    """Name of each model that was evaluated together -> its digest, by the tag with the figures; empty where it says
    nothing of them."""
    found = tag_mapping(text).get("models")
    return found if isinstance(found, dict) else {}


def release_folders(paths: Paths) -> dict[str, Path]:
    """Name of the model -> its folder, of all that are not left out; the base model first.

    Raises:
        ConfigurationError: a stage has not made its model yet.
    """
    folders = {name: getattr(paths, artifact) for name, artifact in MODEL_ARTIFACTS.items()}
    for folder in folders.values():
        if not folder.exists():
            raise ConfigurationError(f"{folder}: no such file; run `dvc repro` first")
    return {name: folder for name, folder in folders.items() if not is_left_out(folder)}


def release_digests(folders: Mapping[str, Path]) -> dict[str, str]:
    """Name of the model -> digest of all its files, as its version in the registry has it."""
    return {name: folder_digest(folder) for name, folder in folders.items()}
