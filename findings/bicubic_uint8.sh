#!/usr/bin/env bash
# Bicubic and Lanczos of uint8 pictures are not those of the same pictures as floats, rounded: at edges they are 20 levels apart.
#
# Guess:  resizing uint8 gives what resizing float32 gives, clamped to 0 .. 255 and rounded: at most one level apart.
# Truth:  so it is in OpenCV. torch (F.interpolate, and torchvision's Resize by it) and Pillow resize the rows, clamp and round to
#         uint8, then the columns: where a filter overshoots in one direction it is cut before the other one could take it
#         back. At edges and in noise pixels are off by 14 to 30 of 255, in torch with antialias=True and
#         without, enlarged and at edges made smaller, too. Bilinear is at most one level apart. So what a model sees
#         depends on whether floats are made before or after the resize.
# Seen:   torch 2.13.0, pillow 13.0.0, opencv-python-headless 5.0.0.93
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

print("torch", torch.__version__, "pillow", PIL.__version__, "opencv", cv2.__version__)


def torch_way(mode, antialias):
    return lambda picture, size: (
        F.interpolate(torch.from_numpy(picture)[None, None], (size, size), mode=mode, antialias=antialias)[0, 0].numpy()
    )


def pillow_way(filter):
    return lambda picture, size: np.asarray(Image.fromarray(picture).resize((size, size), filter))


def opencv_way(filter):
    return lambda picture, size: cv2.resize(picture, (size, size), interpolation=filter)


ways = {
    "torch bilinear": torch_way("bilinear", True),
    "torch bicubic": torch_way("bicubic", False),
    "torch bicubic, antialias": torch_way("bicubic", True),
    "pillow bilinear": pillow_way(Image.Resampling.BILINEAR),
    "pillow bicubic": pillow_way(Image.Resampling.BICUBIC),
    "pillow lanczos": pillow_way(Image.Resampling.LANCZOS),
    "opencv cubic": opencv_way(cv2.INTER_CUBIC),
    "opencv lanczos": opencv_way(cv2.INTER_LANCZOS4),
}
grid = np.zeros((32, 32), np.uint8)
grid[8:24, 8:24] = 255
grid[12, :] = 255
grid[:, 20] = 0
grid[::5, ::3] = 255
pictures = {"edges": grid, "noise": np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)}
seen = {}
for name, way in ways.items():
    for kind, picture in pictures.items():
        for size in (20, 64):
            exact = way(picture.astype(np.float32), size).clip(0, 255)
            seen[name, kind, size] = float(np.abs(way(picture, size).astype(np.float32) - exact).max())
    print(f"{name:26}", {f"{kind} to {size}": round(seen[name, kind, size], 1) for kind in pictures for size in (20, 64)})
cut = ("torch bicubic", "torch bicubic, antialias", "pillow bicubic", "pillow lanczos")
if any(value > 1.5 for (name, _, _), value in seen.items() if name not in cut):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(max(seen[name, kind, 64] for kind in pictures) < 8 for name in cut):
    sys.exit("CHANGED: uint8 is float, rounded")
print("HOLDS: enlarged to 64 they are apart by", [round(max(seen[name, kind, 64] for kind in pictures), 1) for name in cut])
PY
