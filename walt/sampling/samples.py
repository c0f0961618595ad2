"""The folder of generated videos, as its readers see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walt.core.digests import sha256_file
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import read_json

SAMPLES = "samples.json"
OVERVIEW = "grid.png"
BASE_FOLDER = "base"
LOSSLESS_FOLDER = "lossless"
"""Beside the playable videos, of the same names."""


@dataclass(frozen=True)
class Sample:
    """One generated video."""

    path: Path
    """The final video, as players take it."""
    base_path: Path | None
    """The base model's, where super-resolution followed."""
    lossless: Path
    """The final video as it was made: what is measured."""
    base_lossless: Path | None
    sha256: tuple[str | None, str | None]
    """Of ``lossless`` and ``base_lossless`` when they were made; None: there is none, or it was not kept then."""
    prompt: str
    seed: int
    index: int
    """Of the video among those of its set: with the seed and the repeat, its noise."""
    settings: dict[str, Any]
    models: dict[str, str]
    """Model -> SHA-256 of the weights that made it."""
    repeat: int = 0
    """Number of its set among those of the seed, ``sample.repeats``; 0 also where it was made before this was kept."""
    arithmetic: str = ""
    """``bf16`` or ``fp32``: what products were computed in, which a machine may decide; empty: it was not kept then."""
    begins_as: str | None = None
    """Key of the held-out clip whose first frames it was given; None: of none, or it was made before this was kept."""


def sets_of(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """Of each sample what its set is called: (seed, repeat)."""
    return [(sample.seed, sample.repeat) for sample in samples]


def check_unchanged(samples: Sequence[Sample]) -> None:
    """Raises CorruptArtifactError where a video that is to be measured is not the one that was made."""
    for sample in samples:
        for file, digest in zip((sample.lossless, sample.base_lossless), sample.sha256, strict=True):
            if file is not None and digest is not None and sha256_file(file) != digest:
                raise CorruptArtifactError(f"{file}: it was changed after it was made: run `walt sample` again")


def read_samples(folder: Path) -> list[Sample]:
    """The videos in the order in which they were made.

    Raises:
        StorageError: there is no ``samples.json``.
        CorruptArtifactError: it names none, or one that is missing, or is of an earlier version, or not JSON.
    """
    if not (folder / SAMPLES).is_file():
        raise StorageError(f"{folder / SAMPLES}: no such file")
    entries = read_json(folder / SAMPLES)
    if not (isinstance(entries, list) and entries):
        raise CorruptArtifactError(f"{folder / SAMPLES}: it names no samples: run `walt sample` again")
    return [_read(folder, entry) for entry in entries]


def _read(folder: Path, entry: dict[str, Any]) -> Sample:
    if "lossless_file" not in entry:
        raise CorruptArtifactError(f"{folder / SAMPLES}: an earlier version made it: run `walt sample` again")
    names = ("file", "base_file", "lossless_file", "base_lossless_file")
    path, base, lossless, base_lossless = (folder / entry[name] if entry[name] else None for name in names)
    for file in filter(None, (path, base, lossless, base_lossless)):
        if not file.is_file():
            raise CorruptArtifactError(f"{file}: {SAMPLES} names it, but it is missing")
    assert path is not None
    assert lossless is not None
    about = {name: entry[name] for name in ("prompt", "seed", "index", "settings", "models")}
    later = {name: entry[name] for name in ("repeat", "arithmetic", "begins_as") if name in entry}
    digests = (entry.get("lossless_sha256"), entry.get("base_lossless_sha256"))
    return Sample(path, base, lossless, base_lossless, digests, **about, **later)
