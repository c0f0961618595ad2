"""The trained transformers of a project, in the order in which they make a video."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.transformers import SUPER_RESOLUTION_NAMES, TRANSFORMERS


def trained_transformers(paths: Paths) -> dict[str, Path]:
    """All of them by name: the base model, its finetuning to another shape, the super-resolution models."""
    folders = {transformer.name: paths.root / transformer.folder for transformer in TRANSFORMERS}
    return {name: folder for name, folder in folders.items() if not is_left_out(folder)}


def making_videos(models: Mapping[str, Path]) -> dict[str, Path]:
    """Of transformers by name those that make a video, in their order. What a model was finetuned from is not among
    them, and need not be among ``models``: an imported project has the finetuned one alone."""
    present = [transformer for transformer in TRANSFORMERS if transformer.name in models]
    replaced = {transformer.starts_from for transformer in present}
    return {each.name: models[each.name] for each in present if each.name not in replaced}


def making_videos_of(release: Mapping[str, Path]) -> dict[str, Path]:
    """As ``making_videos``, of a release's models by the names of their versions."""
    present = [transformer for transformer in TRANSFORMERS if transformer.version_name in release]
    return making_videos({each.name: release[each.version_name] for each in present})


def cascade(paths: Paths, super_resolution: bool = True) -> dict[str, Path]:
    """Those that make a video: the base model as finetuned, where it was; then the super-resolution models."""
    found = making_videos(trained_transformers(paths))
    return found if super_resolution else {name: found[name] for name in found if name not in SUPER_RESOLUTION_NAMES}
