#!/usr/bin/env bash
# OpenCV's 8-bit YUV has no room for red: pure red comes back as (221, 17, 1), where YCrCb gives (254, 0, 0).
#
# Guess:  RGB2YUV and back gives a colour of 8 bits back within a level or two, as YCrCb, HSV and HLS do: a picture is made
#         brighter in Y and is otherwise as it was.
# Truth:  V is 0.877 (R - Y) + 128, which is 285 for red and -29 for cyan, and is clipped to 255 and 0 without a word. Of a grid
#         over all colours one in 43 comes back with a channel off by more than 3, the brightest reds and cyans by up to 34.
#         Of YCrCb none is off by more than 1, and float pictures, which are not clipped, come back exactly.
# Seen:   opencv 5.0.0.93, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np

print("opencv", cv2.__version__, "numpy", np.__version__)
levels = np.arange(0, 256, 15, dtype=np.uint8)  # 0, 15, .. 255
cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(1, -1, 3)
named = {"red": (255, 0, 0), "cyan": (0, 255, 255), "a dark red": (160, 20, 20), "skin": (224, 172, 105)}


def back(picture, space):
    there = cv2.cvtColor(picture, getattr(cv2, f"COLOR_RGB2{space}"))
    return cv2.cvtColor(there, getattr(cv2, f"COLOR_{space}2RGB"))


seen = {}
for space in ("YCrCb", "YUV"):
    off = np.abs(back(cube, space).astype(int) - cube).max(axis=-1)
    colours = {name: tuple(back(np.uint8([[colour]]), space)[0, 0].tolist()) for name, colour in named.items()}
    seen[space] = int(off.max()), float((off > 3).mean()), colours
    print(f"{space:5} off by up to {off.max()}, {100 * (off > 3).mean():.1f} % of {cube.shape[1]} colours by more than 3:", colours)
floats = (cube / 255).astype(np.float32)
of_floats = 255 * float(np.abs(back(floats, "YUV") - floats).max())
print(f"YUV of floats: off by up to {of_floats:.2f} levels")
if seen["YCrCb"][0] > 2 or of_floats > 0.5:
    sys.exit("CHANGED: what it is compared with does not hold")
most, share, colours = seen["YUV"]
if most < 20 or share < 0.01 or np.abs(np.subtract(colours["red"], named["red"])).max() < 20:
    sys.exit("CHANGED: YUV of 8 bits has room for all colours")
print(f"HOLDS: red came back as {colours['red']}")
PY
