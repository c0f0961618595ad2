#!/usr/bin/env bash
# OpenImageIO reads a PNG with transparency as other colours than are stored.
#
# Guess:  read_image and get_pixels in uint8 give the bytes of a PNG, as Pillow and OpenCV do, and read and written again it is the same.
# Truth:  colours are multiplied by alpha when a PNG is read: (200, 100, 50) with alpha 64 is (50, 25, 13), and all that is transparent is
#         black, so that pictures with a cut-out or a mask in alpha lose what is under it. Written again they are divided, with
#         what was rounded: at alpha 16 colours are up to 8 levels off, at alpha 1 up to 127, and those of the transparent are 0.
#         With oiio:UnassociatedAlpha=1 in the configuration that ImageInput.open is given they are as stored.
# Seen:   OpenImageIO 3.2.2.0, pillow 13.0.0, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet openimageio==3.2.2.0 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import numpy as np
import OpenImageIO
from OpenImageIO import UINT8, ImageBuf, ImageInput, ImageSpec
from PIL import Image

print("OpenImageIO", OpenImageIO.VERSION_STRING, "numpy", np.__version__)
stored = np.empty((16, 256, 4), np.uint8)
stored[..., :3] = np.random.default_rng(0).integers(0, 256, (16, 1, 3))
stored[..., 3] = np.arange(256)
Image.fromarray(stored).save("stored.png")


def read(*configuration):
    file = ImageInput.open("stored.png", *configuration)
    pixels = file.read_image(UINT8)
    file.close()
    return pixels


buffer = ImageBuf("stored.png")
buffer.write("copy.png")
copy = np.asarray(Image.open("copy.png")).astype(int)
unassociated = ImageSpec()
unassociated.attribute("oiio:UnassociatedAlpha", 1)
as_stored = np.array_equal(read(unassociated), stored)
multiplied = np.rint(stored[..., :3] * (stored[..., 3:] / 255))
print("stored:", stored[0, [0, 1, 64, 128, 255]].tolist())
print("read:  ", read()[0, [0, 1, 64, 128, 255]].tolist())
print("copied:", copy[0, [0, 1, 64, 128, 255]].tolist())
moved = np.abs(copy - stored)[..., :3].max(axis=(0, 2))
print("a copy differs by up to", {alpha: int(moved[alpha]) for alpha in (0, 1, 16, 64, 128, 254, 255)}, "at these alphas")
if not as_stored or not np.array_equal(read()[..., 3], stored[..., 3]):
    sys.exit("CHANGED: what it is compared with does not hold")
if np.abs(read()[..., :3] - multiplied).max() > 1 or not np.array_equal(read(), buffer.get_pixels(UINT8)):
    sys.exit("CHANGED: colours are as stored")
if copy[:, 0, :3].any() or moved[64] == 0:
    sys.exit("CHANGED: a copy is as stored")
print("HOLDS: colours are multiplied by alpha, and a copy has lost what was transparent")
PY
