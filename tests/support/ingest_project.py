"""A project of nine small sources for tests of the stage ``ingest``: its settings, its files, what it made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.media import counter, write_video
from tests.support.places import digests, ingest_at
from tests.support.screening import SCREEN_OFF
from tests.support.settings import changed, compute_settings, recipe
from tests.support.sources import describe
from walt.core.paths import Paths
from walt.data.manifest import read_rejects
from walt.ingest.config import DatasetConfig
from walt.stages import ingest

DESCRIPTOR = """
name: test
summary: A test.
licence: CC0-1.0
homepage: null
source: {kind: captioned_folder, captions: captions.csv, path_column: path, caption_column: caption}
classes: null
caption_required: true
images: true
held_out: 0.5
adherence: null
generator: null
"""
SCREEN = SCREEN_OFF
SETTINGS: dict[str, Any] = {
    "num_frames": 5, "sizes": ((32, 32), (16, 24)), "max_clips_per_video": 4, "screen": SCREEN, "clips_per_shard": 4,
    "max_caption_characters": 40, "max_pixels": 1_000_000, "max_seconds": 60.0, "timeout_seconds": 30.0,
}  # fmt: skip


def config(workers: int = 1, backend: str = "inline", **changes: Any) -> ingest.Config:
    """The stage's settings: ``SETTINGS`` with ``changes``."""
    return ingest.Config(
        dataset=DatasetConfig(descriptor="datasets/test.yaml", path="videos"),
        ingest=changed(recipe().ingest, **{**SETTINGS, **changes}),
        compute=compute_settings(workers=workers, backend=backend),
    )


def run(root: Path, workers: int = 1, backend: str = "inline", **changes: Any) -> dict[str, Any]:
    """Run the stage, wherever the project's files are."""
    return ingest_at(root, config(workers, backend, **changes))


def add(root: Path, captions: dict[str, str]) -> None:
    """(Re)write the CSV."""
    quoted = ('"{}","{}"\n'.format(*(cell.replace('"', '""') for cell in row)) for row in captions.items())
    rows = "".join(quoted)
    (root / "videos/captions.csv").write_bytes(b"path,caption\n" + os.fsencode(rows))


CAPTIONS = {f"{name}.mp4": f"video {name}" for name in "abcdefg"} | {
    "still.png": "a still",
    "ü\n'x'.mkv": "an odd name",
}


def make_project(root: Path) -> None:
    """Seven videos of two clips each, one of another kind, and a still, with a descriptor and a table of captions."""
    (root / "datasets").mkdir(parents=True)
    (root / "datasets/test.yaml").write_text(DESCRIPTOR)
    (root / "videos").mkdir()
    for number, name in enumerate("abcdefg"):
        write_video(root / f"videos/{name}.mp4", np.roll(counter(32, 32, 48), number, axis=0))
    write_video(root / "videos/ü\n'x'.mkv", counter(16, 48, 32), fps=8, codec="mpeg4", pixel_format="yuv420p")
    Image.new("RGB", (40, 30), (10, 200, 30)).save(root / "videos/still.png")
    add(root, CAPTIONS)


def outputs(root: Path) -> dict[str, str]:
    """SHA-256 of everything under ``data``."""
    return {f"data/{name}": digest for name, digest in digests(root / "data").items()}


def untouched(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """What changes when a file is written again."""
    files = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in files.items()}


def rejects(root: Path) -> dict[str, str]:
    """Codes of the refused inputs, by source."""
    return {row.source: row.code for row in read_rejects(Paths(root).rejects)}


def ingest_source(
    root: Path, source: dict[str, Any], path: str = "videos", workers: int = 1, backend: str = "inline", **changes: Any
) -> dict[str, Any]:
    """Ingest ``root/videos`` (or a URL) with a descriptor around this source."""
    (root / "datasets").mkdir(exist_ok=True)
    descriptor = describe(source, **changes)
    (root / "datasets/test.yaml").write_text(json.dumps(descriptor.model_dump(mode="json")))
    dataset = DatasetConfig(descriptor="datasets/test.yaml", path=path)
    return ingest.run(
        config(workers, backend, max_pixels=4_000_000).model_copy(update={"dataset": dataset}), Paths(root)
    )
