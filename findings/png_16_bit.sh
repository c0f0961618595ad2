#!/usr/bin/env bash
# A 16-bit gray picture becomes white in 8 bits with Pillow and imageio, and a 16-bit colour picture is read as 8 bits without a word.
#
# Guess:  Image.open(path).convert("RGB"), which loaders of pictures call, scales 16-bit gray as other readers do: 40000 of 65535
#         is 156. What reads a gray PNG as uint16 (imageio, Pillow as I;16) reads a colour one as uint16, too, or warns.
# Truth:  convert clips gray: all from 256 on, that is all but the darkest 0.4 percent, is 255, so depth maps, masks and scans
#         become white, in convert("L") and imageio's mode="RGB" as well. Colour is cut to its upper 8 bits while it is
#         read, in PNG and TIFF: imageio.imread gives uint8, 300 is 1. OpenCV scales both, and keeps both with
#         IMREAD_UNCHANGED.
# Seen:   pillow 13.0.0, imageio 2.38.1, opencv-python-headless 5.0.0.93
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 imageio==2.38.1 opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import cv2
import imageio
import imageio.v3
import numpy as np
import PIL
from PIL import Image

print("pillow", PIL.__version__, "imageio", imageio.__version__, "opencv", cv2.__version__)
values = [100, 300, 20000, 40000, 65535]
gray = np.tile(np.array(values, np.uint16), (5, 1))
cv2.imwrite("gray.png", gray)
cv2.imwrite("colour.png", np.dstack([gray] * 3))
readers = {
    "Pillow": lambda path: np.asarray(Image.open(path)),
    "Pillow, convert L": lambda path: np.asarray(Image.open(path).convert("L")),
    "Pillow, convert RGB": lambda path: np.asarray(Image.open(path).convert("RGB")),
    "imageio": lambda path: imageio.v3.imread(path),
    "imageio, mode RGB": lambda path: imageio.v3.imread(path, mode="RGB"),
    "OpenCV": lambda path: cv2.imread(path),
    "OpenCV, unchanged": lambda path: cv2.imread(path, cv2.IMREAD_UNCHANGED),
}
seen = {}
for name, read in readers.items():
    for path in ("gray.png", "colour.png"):
        picture = read(path)
        row = picture[0] if picture.ndim == 2 else picture[0, :, 0]
        seen[name, path] = (str(picture.dtype), row.tolist())
        print(f"{name:20} {path:11} {values} is", *seen[name, path])
high, white = ("uint8", [value >> 8 for value in values]), ("uint8", [100, 255, 255, 255, 255])
kept = ("uint16", values)
if seen["OpenCV", "gray.png"] != high or any(seen["OpenCV, unchanged", path] != kept for path in ("gray.png", "colour.png")):
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["Pillow", "gray.png"] != kept or seen["imageio", "gray.png"] != kept:
    sys.exit("CHANGED: what it is compared with does not hold: gray is not read as uint16")
if any(seen[name, "gray.png"] != white for name in ("Pillow, convert L", "Pillow, convert RGB", "imageio, mode RGB")):
    sys.exit("CHANGED: 16-bit gray is scaled")
if any(seen[name, "colour.png"] != high for name in ("Pillow", "imageio")):
    sys.exit("CHANGED: 16-bit colour is kept")
print("HOLDS: 300 to 65535 of gray are 255, and colour is uint8")
PY
