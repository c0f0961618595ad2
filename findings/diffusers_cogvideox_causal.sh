#!/usr/bin/env bash
# CogVideoX's "3D causal VAE" is not causal in diffusers: the first latent depends on later frames.
#
# Guess:  all its convolutions are causal (CogVideoXCausalConv3d), so the latent of the first frame is the same whatever
#         comes after, and an image's latent is that of a video's first frame. So it is for AutoencoderKLWan.
# Truth:  its GroupNorm averages over all frames that are encoded together, 8 or 9: the first latent changes by as much
#         as its own spread, and an image gets another one. Frames of the next batch change nothing.
# Seen:   diffusers 0.42.1, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 diffusers==0.42.1
venv/bin/python - <<'PY'
import sys

import diffusers
import torch
from diffusers import AutoencoderKLCogVideoX, AutoencoderKLWan

print("diffusers", diffusers.__version__, "torch", torch.__version__)
torch.manual_seed(0)
models = {
    "CogVideoX": AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8,) * 4, latent_channels=4, layers_per_block=1, norm_num_groups=2,
    ),
    "Wan": AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1] * 4, num_res_blocks=1),
}
video = torch.rand(1, 3, 17, 32, 32) * 2 - 1
other = video.clone()
other[:, :, 1:] = torch.rand(1, 3, 16, 32, 32)
change = {}
with torch.no_grad():
    for name, model in models.items():
        first, second, image = (model.eval().encode(x).latent_dist.mode()[:, :, 0] for x in (video, other, video[:, :, :1]))
        change[name] = [((x - first).abs().max() / first.std()).item() for x in (second, image)]
        print(f"{name:10} first latent: changes by {change[name][0]:.3f} of its deviation with later frames, "
              f"is {change[name][1]:.3f} away from the image's")
if max(change["Wan"]) > 1e-3:
    sys.exit("CHANGED: Wan's is not causal either")
if min(change["CogVideoX"]) < 0.05:
    sys.exit("CHANGED: CogVideoX's first latent no longer depends on later frames")
print("HOLDS: the first latent of CogVideoX's VAE depends on later frames")
PY
