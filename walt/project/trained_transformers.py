"""The trained transformers of a project, in the order in which they make a video."""

from __future__ import annotations

from pathlib import Path

from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.transformers import SUPER_RESOLUTION_NAMES, TRANSFORMERS


def trained_transformers(paths: Paths) -> dict[str, Path]:
    """All of them by name: the base model, its finetuning to another shape, the super-resolution models."""
    folders = {transformer.name: paths.root / transformer.folder for transformer in TRANSFORMERS}
    return {name: folder for name, folder in folders.items() if not is_left_out(folder)}


def cascade(paths: Paths, super_resolution: bool = True) -> dict[str, Path]:
    """Those that make a video: the base model as finetuned, where it was; then the super-resolution models."""
    found = trained_transformers(paths)
    for transformer in TRANSFORMERS:
        if transformer.name in found and transformer.starts_from is not None:
            del found[transformer.starts_from]
    return found if super_resolution else {name: found[name] for name in found if name not in SUPER_RESOLUTION_NAMES}
