#!/usr/bin/env bash
# diffusers resizes pictures by Lanczos and tensors by the nearest pixel.
#
# Guess:  VaeImageProcessor(resample="lanczos"), which is the default, and VideoProcessor, which is built on it, resize what
#         they get by Lanczos, whether it is a PIL picture, an array or a tensor.
# Truth:  resample counts for PIL pictures alone. Tensors and arrays go through F.interpolate with its default, nearest: every
#         second row and column of a picture that is halved is dropped. One whose every fourth row is white gets rows of -0.15
#         and -0.85 at half the size as a picture, and of 1 and -1 as a tensor. The first frame of image-to-video, a clip for
#         video-to-video, or latents that were computed from decoded tensors are others than those of the same PNG.
# Seen:   diffusers 0.42.1, torch 2.13.0, pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 diffusers==0.42.1 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import diffusers
import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.video_processor import VideoProcessor
from PIL import Image

print("diffusers", diffusers.__version__, "torch", torch.__version__)
stripes = np.zeros((64, 64, 3), np.uint8)
stripes[::4] = 255
array = stripes.astype(np.float32) / 255
tensor = torch.from_numpy(array).permute(2, 0, 1)
picture = Image.fromarray(stripes)
images, videos = VaeImageProcessor(vae_scale_factor=8, resample="lanczos"), VideoProcessor(vae_scale_factor=8, resample="lanczos")


def levels(result):
    return [round(value, 2) for value in result.flatten(0, -3)[0, 12:16, 0].tolist()]


seen, whole = {}, {}
for name, given in {"picture": picture, "array": array[None], "tensor": tensor[None]}.items():
    whole[name] = images.preprocess(given, 64, 64)
    seen[name] = levels(images.preprocess(given, 32, 32))
seen["video of pictures"] = levels(videos.preprocess_video([picture] * 4, 32, 32))
seen["video as a tensor"] = levels(videos.preprocess_video(tensor[None, None].expand(1, 4, -1, -1, -1), 32, 32))
nearest = levels(torch.nn.functional.interpolate(tensor[None], (32, 32)) * 2 - 1)
print("every fourth row is white; rows 12 to 15 at half the size:")
for name, found in seen.items():
    print(f"    {name:18} {found}")
if not (torch.equal(whole["picture"], whole["tensor"]) and torch.equal(whole["picture"], whole["array"])):
    sys.exit("CHANGED: what it is compared with does not hold")
lanczos = levels(torch.from_numpy(np.asarray(picture.resize((32, 32), Image.Resampling.LANCZOS))).permute(2, 0, 1)[None] / 127.5 - 1)
if seen["picture"] != lanczos or seen["video of pictures"] != lanczos:
    sys.exit("CHANGED: pictures are resized by another filter")
if any(seen[name] != nearest for name in ("array", "tensor", "video as a tensor")) or nearest == lanczos:
    sys.exit("CHANGED: tensors are resized by another filter")
print("HOLDS: tensors and arrays are resized by the nearest pixel")
PY
