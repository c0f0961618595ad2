"""What the text-to-video recipe trains can begin with an image, continue a video, and make long ones: in small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.support.media import counter, read_counter, write_video
from tests.support.settings import changed, recipe
from tests.support.tiny_latents import write_latents
from tests.support.tiny_models import BASE, SUPER_RESOLUTION, drawn, write_models
from tests.support.training_stages import COMMON, follow
from walt.commands.sample.generate import Request, run
from walt.core.paths import Paths
from walt.core.transformers import get_transformer
from walt.media.mp4 import decode_clip
from walt.project.recipes import recipe_text
from walt.stages import train_transformer
from walt.training.diffusion_objective import BatchMaker, DiffusionBatch
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer, load_transformer, save_transformer

SIZES = (
    "resolution", "latent_grid", "latent_channels", "layers", "width", "heads", "mlp_width", "patch_size",
    "spatial_window", "spatiotemporal_window", "text_width",
)  # fmt: skip
SEVENTEEN_FRAMES = {"spatiotemporal_window": (5, 2, 2)}


def small(name: str, like: TransformerConfig, **sizes: Any) -> TransformerConfig:
    """A model of the recipe, with the sizes of a tiny one; all else is the recipe's."""
    return changed(getattr(recipe("t2v"), name), **({key: getattr(like, key) for key in SIZES} | sizes))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of 17 frames as the recipe describes them, untrained."""
    root = tmp_path_factory.mktemp("t2v")
    (root / "params.yaml").write_text(recipe_text("t2v"))
    write_models(root)
    base = small("base", BASE, latent_grid=(5, 2, 2), **SEVENTEEN_FRAMES)
    high = small("sr_2x", SUPER_RESOLUTION, latent_grid=(5, 4, 4), **SEVENTEEN_FRAMES)
    save_transformer(Paths(root).base, drawn(WaltTransformer(base), 2))
    save_transformer(Paths(root).sr_2x, drawn(WaltTransformer(high), 3))
    return root


def video_of(project: Path, out: Path, **request: Any) -> Any:
    (file,) = run(Request(steps=2, formats=("mp4",), out=out, **request), project)
    return decode_clip(file.read_bytes())


@pytest.mark.slow
def test_an_image_begins_a_video(project: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "red").save(tmp_path / "in.png")
    assert video_of(project, tmp_path, prompts=("it moves",), image=tmp_path / "in.png").shape == (17, 32, 32, 3)


def test_a_video_is_continued(project: Path, tmp_path: Path) -> None:
    given = write_video(tmp_path / "given.mp4", counter(11, 32, 32), fps=8)
    made = video_of(project, tmp_path / "out", continued=given)
    assert made.shape == (11 + 12, 32, 32, 3)
    assert read_counter(made[:11]) == list(range(11))


def test_a_long_video_is_made(project: Path, tmp_path: Path) -> None:
    assert video_of(project, tmp_path, prompts=("a cat",), seconds=2.2).shape == (29, 32, 32, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "like"), [("base", BASE), ("sr_2x", SUPER_RESOLUTION)])
def test_first_frames_are_known_in_a_share_of_the_recipes_batches(
    name: str, like: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_latents(tmp_path / "data")
    follow(monkeypatch, None)
    known: list[int] = []
    make = BatchMaker.videos

    def noted(self: BatchMaker, *arguments: Any) -> DiffusionBatch:
        batch = make(self, *arguments)
        assert batch.known_frames is not None
        known.extend(batch.known_frames.tolist())
        return batch

    monkeypatch.setattr(BatchMaker, "videos", noted)
    training = changed(
        getattr(recipe("t2v"), f"train_{name}"), steps=6, batch_size=8, accumulation=2, compile=False, precision="fp32",
        log_every=6, optimizer={"warmup_steps": 0},
    )  # fmt: skip
    architecture = small(name, like)
    config = train_transformer.Config(
        **COMMON, diffusion=recipe("t2v").diffusion, architecture=architecture, training=training
    )
    transformer = get_transformer(name)
    train_transformer.run(config, Paths(tmp_path), transformer)
    assert 0.2 < sum(count > 0 for count in known) / len(known) < 0.8, "p_fp is the recipe's"
    trained = load_transformer(tmp_path / transformer.folder)
    assert trained.config.frame_prediction
    assert all(bool(torch.isfinite(weight).all()) for weight in trained.parameters())
