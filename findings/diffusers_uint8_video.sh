#!/usr/bin/env bash
# diffusers takes uint8 frames for floats: export_to_video writes a negative, VideoProcessor gives values up to 509.
#
# Guess:  frames as every decoder gives them (uint8 arrays, 0 to 255) are taken as pictures of PIL are, or refused.
# Truth:  export_to_video multiplies any array by 255 in its own type, which for uint8 makes 256 - v of v: 10 is written as 245,
#         250 as 5, a negative. VideoProcessor.preprocess_video computes 2 v - 1 without dividing by 255, so an autoencoder
#         that wants -1 to 1 gets 19 to 499. Neither warns. Floats from 0 to 1 and pictures of PIL are right in both.
# Seen:   diffusers 0.42.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 diffusers==0.42.1 numpy==2.4.6 pillow==13.0.0 imageio==2.38.1 imageio-ffmpeg==0.8.1 av==18.1.0
HF_HUB_OFFLINE=1 venv/bin/python - <<'PY'
import sys
import warnings

import av
import diffusers
import numpy as np
import torch
from diffusers.utils import export_to_video
from diffusers.video_processor import VideoProcessor
from PIL import Image

print("diffusers", diffusers.__version__)
levels = [10, 100, 200, 250]
frames = [np.full((64, 64, 3), level, np.uint8) for level in levels]
video = np.stack(frames)
processor = VideoProcessor(vae_scale_factor=8)


def written(given):
    export_to_video(given, "out.mp4", fps=8)
    with av.open("out.mp4") as container:
        return [int(frame.to_ndarray(format="rgb24")[32, 32].mean()) for frame in container.decode(video=0)]


def prepared(given):
    return [round(value, 2) for value in processor.preprocess_video(given)[0, 0, :, 32, 32].tolist()]


with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    exported = {
        "PIL": written([Image.fromarray(frame) for frame in frames]), "floats": written([frame / 255 for frame in frames]),
        "uint8": written(frames),
    }
    inputs = {
        "PIL": prepared([Image.fromarray(frame) for frame in frames]), "floats": prepared(video / 255), "uint8": prepared(video),
        "uint8 tensor": prepared(torch.tensor(video).permute(0, 3, 1, 2)),
    }
for name, found in exported.items():
    print(f"export_to_video   {name:13} {levels} -> {found}")
for name, found in inputs.items():
    print(f"preprocess_video  {name:13} {levels} -> {found}")
about = [str(one.message) for one in said if "uint8" in str(one.message) or "range" in str(one.message)]
print("warnings about it:", about)
if any(np.abs(np.subtract(exported[name], levels)).max() > 3 or max(map(abs, inputs[name])) > 1 for name in ("PIL", "floats")):
    sys.exit("CHANGED: what it is compared with does not hold")
if np.abs(np.add(exported["uint8"], levels) - 256).max() > 3:
    sys.exit(f"CHANGED: uint8 frames are written as {exported['uint8']}")
if any(inputs[name] != [2.0 * level - 1 for level in levels] for name in ("uint8", "uint8 tensor")) or about:
    sys.exit(f"CHANGED: uint8 frames are prepared as {inputs}, with warnings {about}")
print("HOLDS: a negative, and values to 499")
PY
