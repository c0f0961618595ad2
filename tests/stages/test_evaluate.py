"""The stage evaluate on a whole tiny project: clips, latents and text by hand, untrained models, drawn samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from safetensors.torch import save
from torch import Tensor, randn

from tests.support.tiny_clips import ROWS, SIZES, clip_row, write_clips
from tests.support.tiny_models import BASE, DIFFUSION, SUPER_RESOLUTION, TEXT, write_models
from walt.core.compute import ComputeConfig
from walt.core.errors import ConfigurationError, StorageError
from walt.core.paths import Paths
from walt.core.sizes import size_folder
from walt.core.storage import read_json, write_json
from walt.data.clip_table import write_clip_rows
from walt.data.shapes import draw, parse_caption, prompts
from walt.data.shards import Sample, write_index, write_shard
from walt.evaluation.config import EvaluateConfig
from walt.evaluation.metric_names import metric_names
from walt.ingest.config import DatasetConfig
from walt.project.registry import get_stage
from walt.sampling.output import write_sample
from walt.stages import evaluate
from walt.stages.evaluate import Config, run
from walt.tracking.config import TrackingConfig

REPOSITORY = Path(__file__).resolve().parents[2]
EVALUATE = EvaluateConfig(
    timestep_bands=3,
    held_out_batches=2,
    batch_size=2,
    features="thumbnail",
    i3d_path=None,
    i3d_sha256=None,
    real_clips=4,
)
BANDS = ("/band_00", "/band_01", "/band_02")
PROMPTS = prompts(6, seed=0)


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

    def log_artifact(self, path: Path, folder: str = "") -> None:
        assert path.is_file()
        self.artifacts.append(f"{folder}/{path.name}".lstrip("/"))


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> Tracked:
    run = Tracked()
    monkeypatch.setattr(evaluate, "start_run", lambda *_, **__: run)
    return run


def config(**changes: Any) -> Config:
    return Config(
        seed=0,
        diffusion=DIFFUSION,
        dataset=DatasetConfig(descriptor=str(REPOSITORY / "datasets/shapes.yaml"), path="data/shapes"),
        evaluate=EVALUATE.model_copy(update=changes),
        compute=ComputeConfig(workers=1, backend="inline", device="cpu"),
        tracking=TrackingConfig(uri="sqlite:///mlflow.db", experiment="x", model_prefix="x", system_metrics=False),
    )


def write_project(root: Path, colours_wrong: int = 2) -> Paths:
    """Samples obey their prompts, but that the first ``colours_wrong`` final videos are of another colour."""
    paths = Paths(root)
    write_models(root)
    write_clips(paths.clips)
    for size, model in zip(SIZES, (BASE, SUPER_RESOLUTION), strict=True):
        _write_tensors(paths.latents / size_folder(size), {"latents": (4, *model.latent_grid)})
    write_clip_rows(paths.latents, ROWS)
    _write_tensors(paths.text, {"embeddings": (TEXT.max_tokens, BASE.text_width), "mask": (TEXT.max_tokens,)}, "null")
    rng = np.random.default_rng(0)
    entries = []
    for number, prompt in enumerate(PROMPTS):
        scene = parse_caption(prompt)
        assert scene is not None
        shown = scene if number >= colours_wrong else type(scene)(**{**vars(scene), "colour": other(scene.colour)})
        about = {"prompt": prompt, "seed": 0, "index": number, "settings": {}}
        write_sample(paths.samples, f"{number:05d}", draw(shown, 32, 5, rng), 8.0, about)
        write_sample(paths.samples / "base", f"{number:05d}", draw(scene, 32, 5, rng), 8.0, about)
        entries.append({"file": f"{number:05d}.mp4", "base_file": f"base/{number:05d}.mp4", **about})
    write_json(paths.samples / "samples.json", entries)
    (paths.samples / "grid.png").write_bytes(b"png")
    return paths


def other(colour: str) -> str:
    return "red" if colour == "blue" else "blue"


def _write_tensors(folder: Path, shapes: dict[str, tuple[int, ...]], *more: str) -> None:
    def samples() -> Iterator[tuple[str, Sample]]:
        for key in [*(row.key for row in ROWS if row.kind == "video" or more), *more]:
            yield key, {"safetensors": save({name: _draw(name, shape) for name, shape in shapes.items()})}
        if not more:
            for row in ROWS:
                if row.kind == "image":
                    channels, _, *cells = shapes["latents"]
                    yield row.key, {"safetensors": save({"latents": randn(channels, 1, *cells).half()})}

    write_index(folder, "by hand", [write_shard(folder / "all-000000.tar", samples())])


def _draw(name: str, shape: tuple[int, ...]) -> Tensor:
    return randn(shape).abs().byte() | 1 if name == "mask" else randn(shape).half()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return write_project(tmp_path_factory.mktemp("project"))


def test_config_has_what_the_registry_declares() -> None:
    stage = get_stage("evaluate")
    assert set(Config.model_fields) == {*stage.params, *stage.settings}


def test_metrics(project: Paths, tracked: Tracked) -> None:
    result = run(config(), project)
    written = read_json(project.evaluation)
    metrics = written["metrics"]
    assert set(metrics) == {
        *(f"held_out_loss/{model}{band}" for model in ("base", "sr_2x") for band in ("", *BANDS)),
        "frechet_distance/thumbnail",
        *(f"adherence/{base}{what}" for base in ("", "base/") for what in ("colour", "direction", "both")),
    }  # fmt: skip
    assert set(metrics) == set(metric_names(config().evaluate, ["base", "sr_2x"], cascade=True))
    assert metrics["adherence/colour"] == metrics["adherence/both"] == 4 / 6
    assert metrics["adherence/direction"] == metrics["adherence/base/both"] == 1.0
    bands = [metrics[f"held_out_loss/base/band_0{band}"] for band in range(3)]
    assert metrics["held_out_loss/base"] == pytest.approx(sum(bands) / 3)
    assert all(value > 0 for value in bands)
    assert metrics["frechet_distance/thumbnail"] > 0
    assert result == {key: value for key, value in metrics.items() if "band" not in key}
    assert tracked.metrics == metrics


def test_details(project: Paths, tracked: Tracked) -> None:
    run(config(), project)
    details = read_json(project.evaluation)["details"]
    assert details["held_out_loss"]["base"] == {"videos": 1}
    frechet = details["frechet_distance"]
    assert (frechet["real_clips"], frechet["held_out_clips"], frechet["samples"]) == (4, 1, 6)
    assert "rank-deficient" in frechet["remark"]
    first = details["adherence"]["videos"]["00000.mp4"]
    assert first["prompt"] == PROMPTS[0]
    assert first["colour_obeyed"] is False
    assert details["adherence"]["base"]["00000.mp4"]["colour_obeyed"] is True


def test_samples_are_tracked(project: Paths, tracked: Tracked) -> None:
    run(config(), project)
    assert {"evaluation.json", "samples/grid.png", "samples/00005.mp4", "samples/base/00005.mp4"} <= set(
        tracked.artifacts
    )


def test_same_inputs_same_bytes(project: Paths, tracked: Tracked) -> None:
    run(config(), project)
    first = project.evaluation.read_bytes()
    run(config(), project)
    assert project.evaluation.read_bytes() == first


def test_a_dataset_without_adherence_and_without_held_out_clips(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    for folder in (paths.clips, paths.latents):
        write_clip_rows(folder, [clip_row(row.key, row.kind, "train", row.shard) for row in ROWS])
    descriptor = (REPOSITORY / "datasets/shapes.yaml").read_text().replace("adherence: shapes", "adherence: null")
    (tmp_path / "other.yaml").write_text(descriptor)
    plain = config().model_copy(update={"dataset": DatasetConfig(descriptor="other.yaml", path=".")})
    assert set(run(plain, paths)) == {"frechet_distance/thumbnail"}
    details = read_json(paths.evaluation)["details"]
    assert "no adherence check" in details["adherence"]["left_out"]
    assert details["held_out_loss"]["base"]["left_out"] == "nothing held out"
    assert details["frechet_distance"]["held_out_clips"] == 0


def test_one_sample_has_no_covariance(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    write_json(paths.samples / "samples.json", read_json(paths.samples / "samples.json")[:1])
    assert "frechet_distance/thumbnail" not in run(config(), paths)
    assert "two clips" in read_json(paths.evaluation)["details"]["frechet_distance"]["left_out"]


def test_errors_before_work(tmp_path: Path, project: Paths, tracked: Tracked) -> None:
    with pytest.raises(StorageError, match=r"samples\.json"):
        run(config(), Paths(tmp_path))
    with pytest.raises(ConfigurationError, match="i3d_path"):
        run(config(features="i3d", i3d_path="absent.pt", i3d_sha256="0"), project)
    assert tracked.metrics == {}
