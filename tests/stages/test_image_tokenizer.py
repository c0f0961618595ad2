"""From an image tokenizer to a video autoencoder: trained in 2D on stills, inflated, trained on in 3D."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny_clips import write_clips
from tests.support.tiny_models import AUTOENCODER
from tests.support.training_stages import COMMON, SHORT, follow
from tests.support.trainings import autoencoder_training
from walt.autoencoder.io import load_autoencoder
from walt.core.paths import Paths
from walt.stages import train_autoencoder
from walt.training.autoencoder_config import ClipFormConfig

IMAGE = AUTOENCODER.model_copy(update={"dimensions": 2, "temporal_downsample": (False, False, False)})


def test_a_video_autoencoder_starts_where_the_image_tokenizer_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    follow(monkeypatch, stop=None)
    video_training = autoencoder_training(**{**SHORT, "steps": 1, "ema_decay": 0.0}, initial_weights="tokenizer")
    size = video_training.forms[0].resolution
    stills = (ClipFormConfig(resolution=size, num_frames=1, batch_size=2, weight=1.0),)
    image_training = autoencoder_training(**SHORT).model_copy(update={"forms": stills})
    figures = train_autoencoder.run(
        train_autoencoder.Config(**COMMON, autoencoder=IMAGE, train_autoencoder=image_training), paths
    )
    assert figures["steps"] == SHORT["steps"]
    shutil.copytree(paths.autoencoder, tmp_path / "tokenizer")
    image, _ = load_autoencoder(tmp_path / "tokenizer")

    # a learning rate next to nothing, so that the step leaves the inflated weights where they were
    gentle = video_training.optimizer.model_copy(update={"learning_rate": 1e-12})
    training = video_training.model_copy(update={"optimizer": gentle})
    train_autoencoder.run(
        train_autoencoder.Config(**COMMON, autoencoder=AUTOENCODER, train_autoencoder=training), paths
    )
    video, _ = load_autoencoder(paths.autoencoder)
    kernels = [value for value in load_file(paths.autoencoder / "model.safetensors").values() if value.dim() == 5]
    assert any(kernel.shape[2] == 3 for kernel in kernels)
    picture = torch.rand(1, 3, 1, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        latents = image.encode(picture)[0]
        torch.testing.assert_close(video.encode(picture)[0], latents, rtol=0, atol=1e-4)
        torch.testing.assert_close(video.decode(latents), image.decode(latents), rtol=0, atol=1e-4)
