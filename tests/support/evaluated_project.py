"""A whole tiny project before ``evaluate``: clips, latents and text by hand, untrained models, drawn samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors.torch import save
from torch import randn

from tests.support.settings import changed, compute_settings, recipe
from tests.support.text_folder import write_text
from tests.support.tiny_clips import ROWS, SIZES, write_clips
from tests.support.tiny_models import BASE, DIFFUSION, SUPER_RESOLUTION, TEXT, write_models
from walt.core.digests import sha256_json
from walt.core.paths import Paths
from walt.core.sizes import size_folder
from walt.core.storage import read_json, write_bytes, write_json
from walt.data.captions import Caption
from walt.data.clip_table_writer import write_clip_rows
from walt.data.manifest import ManifestRow, write_manifest
from walt.data.shapes import draw, parse_caption, prompts
from walt.data.shards import write_index, write_shard
from walt.ingest.config import DatasetConfig
from walt.media.lossless import encode_lossless
from walt.nn.pretrained import weights_digest
from walt.sampling.output import Video, write_sample
from walt.stages.evaluate import Config
from walt.tracking.config import TrackingConfig

REPOSITORY = Path(__file__).resolve().parents[2]
EVALUATE = changed(recipe().evaluate, timestep_bands=3, held_out_batches=2, batch_size=2, real_clips=4)
PROMPTS = prompts(6, seed=0)
NO_GROUPS: Mapping[str, str] = {}


class Tracked:
    """Takes the place of an MLflow run and notes what it is given."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.artifacts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        self.metrics |= values

    def log_release(
        self,
        models: Mapping[str, str],
        settings: Mapping[str, Any],
        figures: Mapping[str, tuple[float, str, str]],
        samples: Path,
        evaluation: str,
    ) -> None:
        self.evaluation = evaluation
        self.release = (dict(models), dict(settings), dict(figures), sorted(file.name for file in samples.iterdir()))

    def log_artifact(self, path: Path, folder: str = "") -> None:
        assert path.is_file()
        self.artifacts.append(f"{folder}/{path.name}".lstrip("/"))


def config(**changes: Any) -> Config:
    """The stage's settings, with other values for keys of ``evaluate``."""
    return Config(
        seed=0,
        diffusion=DIFFUSION,
        dataset=DatasetConfig(descriptor=str(REPOSITORY / "datasets/shapes.yaml"), path="data/shapes"),
        evaluate=EVALUATE.model_copy(update=changes),
        compute=compute_settings(workers=1),
        tracking=TrackingConfig(uri="sqlite:///mlflow.db", experiment="x", model_prefix="x", system_metrics=False),
    )


def write_project(root: Path, colours_wrong: int = 2) -> Paths:
    """Samples match their prompts, except the first ``colours_wrong`` final videos, which have another colour."""
    paths = Paths(root)
    write_models(root)
    write_clips(paths.clips)
    write_recordings(paths)
    for size, model in zip(SIZES, (BASE, SUPER_RESOLUTION), strict=True):
        _write_latents(paths.latents / size_folder(size), 4, *model.latent_grid)
    write_clip_rows(paths.latents, ROWS)
    texts = {text: randn(TEXT.max_tokens, BASE.text_width or 0) for text in ("", *(row.key for row in ROWS))}
    clips = {row.key: [Caption("", row.key)] for row in ROWS}
    write_text(paths.text, clips, {row.key: texts[row.key] for row in ROWS}, texts[""], TEXT.max_tokens)
    rng = np.random.default_rng(0)
    entries = []
    for number, prompt in enumerate(PROMPTS):
        scene = parse_caption(prompt)
        assert scene is not None
        shown = scene if number >= colours_wrong else type(scene)(**{**vars(scene), "colour": other(scene.colour)})
        about = {"prompt": prompt, "seed": 0, "index": number, "settings": {}, "models": makers(paths)}
        files = write_video(paths.samples, "", number, draw(shown, 32, 5, rng), about)
        files |= write_video(paths.samples, "base", number, draw(scene, 32, 5, rng), about)
        entries.append({**files, **about})
    write_json(paths.samples / "samples.json", entries)
    (paths.samples / "grid.png").write_bytes(b"png")
    return paths


def write_recordings(paths: Paths, groups: Mapping[str, str] = NO_GROUPS) -> None:
    """A manifest of the clips, each of a source of its own, and of these recordings."""
    rows = [
        ManifestRow(
            row.key, row.kind, row.split, f"{row.key}.mp4", sha256_json(row.key), 0.0, 1.0, row.num_frames, (), False,
            None, row.shard, "0" * 64, group=groups.get(row.key),
        )
        for row in ROWS
    ]  # fmt: skip
    write_manifest(paths.manifest, [(0, rows)])


def makers(paths: Paths) -> dict[str, str]:
    """What ``samples.json`` says of the models that made a video."""
    found = {name: weights_digest(getattr(paths, name)) for name in ("base", "sr_2x", "autoencoder")}
    return {**found, "text_encoder": read_json(paths.text_encoder / "encoder.json")["digest"]}


def write_video(samples: Path, of: str, number: int, frames: Video, about: dict[str, Any]) -> dict[str, str]:
    """Write a video as the stage sample does; of the ``base`` model, or the final one: the files of its entry."""
    name, place = f"{number:05d}", f"{of}/" if of else ""
    write_sample(samples / of, name, frames, 8.0, about)
    data, kind = encode_lossless(frames, 8.0), f"{of}_" if of else ""
    write_bytes(samples / of / "lossless" / f"{name}.mp4", data)
    return {
        f"{kind}file": f"{place}{name}.mp4", f"{kind}lossless_file": f"{place}lossless/{name}.mp4",
        f"{kind}lossless_sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip


def other(colour: str) -> str:
    """Another colour than this one."""
    return "red" if colour == "blue" else "blue"


def _write_latents(folder: Path, channels: int, frames: int, *cells: int) -> None:
    samples = (
        (row.key, {"safetensors": save({"latents": randn(channels, frames * videos or 1, *cells).half()})})
        for videos in (1, 0)
        for row in ROWS
        if (row.kind == "video") == videos
    )
    write_index(folder, "by hand", [write_shard(folder / "all-000000.tar", samples)])
