"""The folder of generated videos, as its readers see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import read_json

SAMPLES = "samples.json"
OVERVIEW = "grid.png"
BASE_FOLDER = "base"


@dataclass(frozen=True)
class Sample:
    """One generated video."""

    path: Path
    """The final video."""
    base_path: Path | None
    """The base model's, where super-resolution followed."""
    prompt: str
    seed: int
    settings: dict[str, Any]


def read_samples(folder: Path) -> list[Sample]:
    """The videos in the order in which they were made.

    Raises:
        StorageError: there is no ``samples.json``.
        CorruptArtifactError: it names a file that is missing.
    """
    if not (folder / SAMPLES).is_file():
        raise StorageError(f"{folder / SAMPLES}: no such file")
    samples = []
    for entry in read_json(folder / SAMPLES):
        base = folder / entry["base_file"] if entry["base_file"] else None
        for path in (folder / entry["file"], *([base] if base else [])):
            if not path.is_file():
                raise CorruptArtifactError(f"{path}: {SAMPLES} names it, but it is missing")
        samples.append(Sample(folder / entry["file"], base, entry["prompt"], entry["seed"], entry["settings"]))
    return samples
