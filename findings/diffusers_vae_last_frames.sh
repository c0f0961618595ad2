#!/usr/bin/env bash
# The video autoencoders of Wan and LTX leave out a clip's last frames where its length is not 4n + 1, or 8n + 1.
#
# Guess:  encode() of 8 frames is refused, or the clip is filled up, as sizes that do not fit are; every frame has a say in the
#         latent. For CogVideoX and HunyuanVideo every frame has.
# Truth:  AutoencoderKLWan and AutoencoderKLLTXVideo take the first frame, then whole groups of 4 or 8, and nothing of the
#         rest: of 16 frames, a usual length, the last 3 change nothing in Wan's latents and the last 7 nothing in LTX's; 2 to 4
#         (8) frames are one still. No error, no warning. Decoded such a clip is shorter; latents that are computed once for
#         training hide it. The pipelines round num_frames with a warning; who calls the autoencoder must cut or fill.
# Seen:   diffusers 0.42.1, torch 2.13.0
# Known:  https://github.com/Wan-Video/Wan2.1/issues/448 (31 frames come back as 29)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet diffusers==0.42.1 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import logging
import sys

import diffusers
import torch

print("diffusers", diffusers.__version__, "torch", torch.__version__)
logging.disable(logging.WARNING)
torch.manual_seed(0)
small = {"block_out_channels": (8,) * 4, "latent_channels": 4, "layers_per_block": 1}
models = {
    "Wan": diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1] * 4, num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    ),
    "LTX": diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4, layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5, patch_size=1,
    ),
    "CogVideoX": diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4, norm_num_groups=2, **small
    ),
    "HunyuanVideo": diffusers.AutoencoderKLHunyuanVideo(norm_num_groups=4, **small),
}
unused = {}
for name, model in models.items():
    model.eval()
    for frames in (4, 5, 8, 9, 16, 17):
        clip = torch.randn(1, 3, frames, 32, 32)
        with torch.no_grad():
            latent = model.encode(clip).latent_dist.mode()
            for frame in range(frames):
                other = clip.clone()
                other[:, :, frame] += 1
                if torch.equal(model.encode(other).latent_dist.mode(), latent):
                    unused.setdefault((name, frames), []).append(frame)
        print(f"{name:12} {frames:2} frames: {latent.shape[2]} latents, no say have {unused.get((name, frames), [])}")
if any(name in ("CogVideoX", "HunyuanVideo") for name, _ in unused):
    sys.exit("CHANGED: what it is compared with does not hold")
if {frames for name, frames in unused if name == "Wan"} != {4, 8, 16} or unused["Wan", 16] != [13, 14, 15]:
    sys.exit("CHANGED: Wan takes all frames, or refuses")
if not unused.get(("LTX", 16)) or unused["LTX", 16][-1] != 15 or ("LTX", 17) in unused:
    sys.exit("CHANGED: LTX takes all frames, or refuses")
print("HOLDS: of 16 frames", len(unused["Wan", 16]), "have no say in Wan's latents and", len(unused["LTX", 16]), "in LTX's")
PY
