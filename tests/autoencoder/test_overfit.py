"""The autoencoder can overfit eight real clips."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.settings import loop_settings, recipe
from walt.autoencoder.losses import reconstruction_loss
from walt.autoencoder.model import CausalAutoencoder
from walt.media.images import Limits
from walt.media.video import read_clips
from walt.nn.causal import use_channels_last
from walt.training.loop import train

CLIPS = Path(__file__).resolve().parents[3] / "shared/data/clips"
CHOSEN = (
    "ucf101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
    "ucf101/BaseballPitch/v_BaseballPitch_g01_c01.avi",
    "ucf101/Basketball/v_Basketball_g01_c01.avi",
    "ucf101/Biking/v_Biking_g05_c02.avi",
    "kinetics/abseiling/abseiling_k400.mp4",
    "kinetics/arm wrestling/demo.mp4",
    "misc/flipping_a_pancake.mkv",
    "misc/bikes.mp4",
)
SIZE = (16, 16)
STEPS = 300
DEMO_SIZED = recipe("demo").autoencoder
TRAINING = loop_settings(
    steps=STEPS,
    optimizer={"learning_rate": 3e-3, "weight_decay": 0.0, "warmup_steps": 20, "final_fraction": 0.02}, ema_decay=0.0,
    precision="bf16", log_every=50, checkpoint_every=STEPS,
)  # fmt: skip


def real_clips() -> Tensor:
    """(8, 3, 5, 16, 16) in [-1, 1]: the first five frames of eight files, at eight a second."""
    limits = Limits(min_side=16, max_pixels=10**8, max_seconds=100)
    clips = [
        read_clips(CLIPS / name, num_frames=5, fps=8, sizes=[SIZE], max_clips=1, limits=limits)[0].frames[SIZE]
        for name in CHOSEN
    ]
    return torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


@pytest.mark.slow
@pytest.mark.timeout(1200)  # half a minute on an idle core
@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs ../shared/data/clips")
def test_eight_real_clips_are_learnt_past_30_db(tmp_path: Path) -> None:
    video = real_clips().contiguous(memory_format=torch.channels_last_3d)
    torch.manual_seed(0)
    model = CausalAutoencoder(DEMO_SIZED)
    use_channels_last(model)

    def losses(step: int) -> dict[str, Tensor]:
        return {"loss": reconstruction_loss(model.decode(model.encode(video)[0]), video)}

    result = train(
        name="overfit", model=model, losses=losses, config=TRAINING, identity={}, work=tmp_path,
        on_log=lambda step, metrics: None,
    )  # fmt: skip
    with torch.no_grad():
        model.load_state_dict(result.state_dict)
        reconstruction = model.decode(model.encode(video)[0]).clamp(-1, 1)
    psnr = [10 * math.log10(4 / float(error)) for error in (reconstruction - video).square().flatten(1).mean(1)]
    print("PSNR of each clip in dB:", [round(value, 1) for value in psnr])
    assert 10 * math.log10(4 / float((reconstruction - video).square().mean())) > 30
    assert min(psnr) > 25, "a clip was left out"
    assert model.encode(video)[0].numel() * 50 < video.numel(), "memorised, not copied"
