#!/usr/bin/env bash
# Pillow resizes pictures with a palette by the nearest pixel, whatever filter is asked for.
#
# Guess:  resize((w, h), LANCZOS) of a PNG or GIF as it was opened is smoothed, or refused where it cannot be.
# Truth:  in the modes P and 1 the filter is not used and nothing says so: a fine pattern made smaller is black and white
#         noise where it should be gray. What is converted to RGB afterwards has the right mode and the wrong pixels, so
#         "open, resize, convert" is another picture than "open, convert, resize". thumbnail does the same, and so does each
#         screenshot or chart among photos. rotate leaves the filter out, too.
# Seen:   pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6
cat > palette.py <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from PIL import Image

print(*(f"{name} {version(name)}" for name in ("pillow", "numpy")))
pattern = Image.fromarray(np.random.default_rng(0).integers(0, 2, (256, 256), dtype=np.uint8) * 255)
pattern.convert("RGB").save("rgb.png")
pattern.convert("P").save("P.png")
pattern.convert("1").save("1.png")
filters = {name: Image.Resampling[name] for name in ("NEAREST", "BOX", "BILINEAR", "BICUBIC", "LANCZOS")}


def gray(picture):
    return np.asarray(picture.convert("L"), np.float64)


def thumbnail(picture):
    picture.thumbnail((32, 32), Image.Resampling.LANCZOS)
    return picture


spread, right, near, turned = {}, {}, {}, {}
for kind in ("rgb", "P", "1"):
    picture = Image.open(f"{kind}.png")
    spread[kind] = {name: round(float(gray(picture.resize((32, 32), filter)).std()), 1) for name, filter in filters.items()}
    right[kind] = round(float(gray(picture.convert("RGB").resize((32, 32), filters["LANCZOS"])).std()), 1)
    near[kind] = round(float(gray(thumbnail(Image.open(f"{kind}.png"))).std()), 1)
    turned[kind] = len(np.unique(gray(picture.rotate(30, filters["BILINEAR"]))))
    print(f"{picture.mode:3} spread after resize {spread[kind]}, thumbnail {near[kind]}, converted first {right[kind]}, grays after rotate {turned[kind]}")
if spread["rgb"]["LANCZOS"] > 60 or spread["rgb"]["NEAREST"] < 120 or max(right.values()) > 60 or turned["rgb"] < 50:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(len(set(spread[kind].values())) != 1 or near[kind] < 120 or turned[kind] > 2 for kind in ("P", "1")):
    sys.exit("CHANGED: pictures with a palette are smoothed")
print("HOLDS: five filters, one result")
PY
venv/bin/python palette.py
