"""What a release is: the models of a project that were evaluated together, and the digests by which they are known.

The base transformer comes first; its versions carry the release's figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
