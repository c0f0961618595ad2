"""The trained transformers of a project, in the order in which they make a video."""

from __future__ import annotations

from pathlib import Path

from walt.core.left_out import is_left_out
from walt.core.paths import Paths

SUPER_RESOLUTIONS = ("sr_2x", "sr_4x")


def transformers(paths: Paths) -> dict[str, Path]:
    """All of them by name: the base model, its finetuning to another shape, the super-resolution models."""
    names = ("base", "aspect", *SUPER_RESOLUTIONS)
    return {name: folder for name in names if not is_left_out(folder := getattr(paths, name))}


def cascade(paths: Paths, super_resolution: bool = True) -> dict[str, Path]:
    """Those that make a video: the base model as finetuned, where it was; then the super-resolution models."""
    found = transformers(paths)
    if "aspect" in found:
        del found["base"]
    return found if super_resolution else {name: found[name] for name in found if name not in SUPER_RESOLUTIONS}
