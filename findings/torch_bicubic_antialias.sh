#!/usr/bin/env bash
# antialias=True enlarges pictures by another bicubic kernel.
#
# Guess:  antialias=True widens the kernel where a picture shrinks; where it grows there is nothing to widen, and F.interpolate gives
#         the same with it and without, as bilinear does.
# Truth:  bicubic has a = -0.75 without it, as OpenCV, and a = -0.5 with it, as Pillow, also for enlarging: noise between 0 and
#         1 differs by 0.08. With -0.75 a ramp does not stay one: enlarged twice, its steps are 0.59 and 0.41 instead of 0.5. A
#         "bicubic" baseline of super-resolution, or low resolution that is enlarged as a condition, is one or the other by a
#         flag that should not matter; the documentation says that Pillow is matched "for downsampling".
# Seen:   torch 2.13.0, opencv-python-headless 5.0.0.93, pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import PIL
import torch
import torch.nn.functional as F
from PIL import Image

print("torch", torch.__version__, "opencv", cv2.__version__, "pillow", PIL.__version__)


def enlarged(picture, side, mode):
    tensor = torch.from_numpy(picture)[None, None]
    other = {"bilinear": (cv2.INTER_LINEAR, "BILINEAR"), "bicubic": (cv2.INTER_CUBIC, "BICUBIC")}[mode]
    return {
        "off": F.interpolate(tensor, (side, side), mode=mode)[0, 0].numpy(),
        "on": F.interpolate(tensor, (side, side), mode=mode, antialias=True)[0, 0].numpy(),
        "opencv": cv2.resize(picture, (side, side), interpolation=other[0]),
        "pillow": np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling[other[1]])),
    }


def apart(results, one, other, edge=8):
    inside = slice(edge, -edge)  # at the edges Pillow weighs what is there, OpenCV repeats it
    return float(np.abs(results[one] - results[other])[inside, inside].max())


noise = np.random.default_rng(0).random((32, 32), np.float32)
seen = {}
for mode in ("bilinear", "bicubic"):
    for side in (48, 64, 128):
        results = enlarged(noise, side, mode)
        seen[mode, side] = [apart(results, *pair) for pair in (("off", "on"), ("off", "opencv"), ("on", "pillow"))]
        print(f"{mode}, 32 to {side}: off to on {seen[mode, side][0]:.4f}, off to OpenCV {seen[mode, side][1]:.6f},"
              f" on to Pillow {seen[mode, side][2]:.6f}")
ramp = enlarged(np.tile(np.arange(32, dtype=np.float32), (32, 1)), 64, "bicubic")
steps = {name: np.diff(ramp[name][32, 20:25]).round(3).tolist() for name in ("off", "on")}
print("steps of a ramp, enlarged twice:", steps)
if any(max(found) > 1e-4 for (mode, _), found in seen.items() if mode == "bilinear"):
    sys.exit("CHANGED: bilinear differs, too")
if any(max(found[1:]) > 1e-4 for found in seen.values()) or steps["on"] != [0.5] * 4:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(found[0] < 0.02 for (mode, _), found in seen.items() if mode == "bicubic") or steps["off"][0] == 0.5:
    sys.exit("CHANGED: antialias=True enlarges as without it")
print("HOLDS: antialias=True changes how pictures are enlarged")
PY
