"""Writes the generated dataset ``shapes`` to disk: real H.264 files, stills, and the CSV of captions."""

from __future__ import annotations

import csv
import io
import itertools
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from walt.core.compute import ComputeConfig
from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import ConfigurationError, StorageError
from walt.core.log import ProgressBar
from walt.core.storage import TEMPORARY_SUFFIX, read_json, write_bytes, write_json
from walt.data import shapes
from walt.data.shapes import Scene, caption, draw
from walt.ingest.sources.kinds import ShapesGenerator
from walt.media import mp4
from walt.media.images import png_bytes
from walt.media.mp4 import LIBRARY_VERSIONS
from walt.workers.execute import map_items

_MARKER = ".generated.json"
_CAPTIONS = "captions.csv"
_CRF = 10
_BATCH = 32


def generate(config: ShapesGenerator, folder: Path, compute: ComputeConfig) -> str:
    """Write the dataset: ``videos/*.mp4``, ``images/*.png`` and ``captions.csv``. A finished folder is left as it is; a
    half-finished one, or one that has lost files, is completed; one made with other settings is made again. Returns one
    line that says what was done.

    Raises:
        ConfigurationError: the folder holds something that this function did not write.
    """
    content = f"{config.videos} clips and {config.images} stills"
    code = [sha256_file(file) for file in (__file__, shapes.__file__, mp4.__file__)]
    fingerprint = sha256_json({"code": code, "libraries": LIBRARY_VERSIONS, **config.model_dump()})
    names = [name for name, _ in _rows(config)]
    state = read_json(folder / _MARKER) if (folder / _MARKER).is_file() else None
    complete = all((folder / name).is_file() for name in (*names, _CAPTIONS))
    if state == {"fingerprint": fingerprint, "finished": True} and complete:
        return f"{folder}: {content} are there already"
    if state is None and folder.is_dir() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder}: holds files that are not the generated dataset; choose another path")
    if state is None or state["fingerprint"] != fingerprint:
        for made in ("videos", "images"):
            shutil.rmtree(folder / made, ignore_errors=True)
        write_json(folder / _MARKER, {"fingerprint": fingerprint, "finished": False})
    missing = [index for index, name in enumerate(names) if not (folder / name).is_file()]
    batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
    with ProgressBar("shapes", total=len(names), unit="files", completed=len(names) - len(missing)) as bar:
        for batch, outcome in zip(batches, map_items(partial(_write, config, folder), batches, compute), strict=True):
            if outcome.failure:
                raise StorageError(f"{folder}: {outcome.failure.cause}")
            bar.advance(len(batch))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("path", "caption"), *_rows(config)])
    write_bytes(folder / _CAPTIONS, table.getvalue().encode())
    os.sync()  # the files were not fsynced one by one; the marker, written next, says that all are complete
    write_json(folder / _MARKER, {"fingerprint": fingerprint, "finished": True})
    return f"{folder}: made {content}"


def _rows(config: ShapesGenerator) -> list[tuple[str, str]]:
    """(path, caption) of each file, videos first."""
    return [(name, caption(scene)) for name, scene in _files(config)]


def _files(config: ShapesGenerator) -> list[tuple[str, Scene]]:
    videos = itertools.islice(shapes.scenes(config.seed), config.videos)
    images = itertools.islice(shapes.scenes(config.seed, moving=False), config.images)
    return [(f"videos/{number:05d}.mp4", scene) for number, scene in enumerate(videos)] + [
        (f"images/{number:05d}.png", scene) for number, scene in enumerate(images)
    ]


def _write(config: ShapesGenerator, folder: Path, indices: list[int]) -> None:
    """Draw some of the files. Runs in a worker process."""
    files = _files(config)
    for index in indices:
        name, scene = files[index]
        rng = np.random.default_rng([config.seed, index])
        clip = draw(scene, config.size, config.num_frames if scene.direction else 1, rng)
        data = mp4.encode_clip(clip, config.fps, _CRF, "yuv420p") if scene.direction else png_bytes(clip[0])
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
        temporary.write_bytes(data)
        temporary.replace(path)
