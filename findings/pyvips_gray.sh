#!/usr/bin/env bash
# pyvips makes other grays of colours than Pillow, OpenCV and torchvision do.
#
# Guess:  gray is 0.299 red + 0.587 green + 0.114 blue, whichever library makes it, up to rounding.
# Truth:  pyvips' colourspace("b-w") undoes the gamma, weighs red, green and blue by 0.2, 0.7 and 0.1 and gamma again: pure
#         red is 127 for 76, green 220 for 150, blue 76 for 29, and the more colourful a picture, the lighter it is; grays
#         stay. A model or a perceptual hash that was made with one sees other pictures with the other.
# Seen:   pyvips 3.2.0 (libvips 8.18.7), pillow 13.0.0, opencv 5.0.0.93
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyvips==3.2.0 pyvips-binary==8.18.7 pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > gray.py <<'PY'
import sys
from importlib.metadata import version

import cv2
import numpy as np
import pyvips
from PIL import Image

print(*(f"{name} {version(name)}" for name in ("pyvips", "pyvips-binary", "pillow", "opencv-python-headless", "numpy")))
colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "brick": (200, 30, 30), "gray": (128, 128, 128), "white": (255, 255, 255)}
seen = {}
for name, colour in colours.items():
    picture = Image.new("RGB", (8, 8), colour)
    picture.save(f"{name}.png")
    pixels = np.asarray(picture)
    grays = {
        "pyvips": pyvips.Image.new_from_file(f"{name}.png").colourspace("b-w").numpy(),
        "Pillow": np.asarray(picture.convert("L")),
        "OpenCV": cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY),
    }
    seen[name] = {way: int(gray.reshape(-1)[0]) for way, gray in grays.items()}
    print(f"{name:6} {colour}: {seen[name]}")
if any(abs(one["Pillow"] - one["OpenCV"]) > 1 for one in seen.values()) or any(abs(seen[name]["pyvips"] - colours[name][0]) > 1 for name in ("gray", "white")):
    sys.exit("CHANGED: what it is compared with does not hold")
apart = {name: seen[name]["pyvips"] - seen[name]["Pillow"] for name in ("red", "green", "blue", "brick")}
if min(apart.values()) < 15:
    sys.exit(f"CHANGED: they are apart by {apart}")
print("HOLDS: lighter by", apart)
PY
venv/bin/python gray.py
