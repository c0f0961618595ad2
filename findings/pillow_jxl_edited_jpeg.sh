#!/usr/bin/env bash
# pillow-jxl-plugin saves the JPEG file instead of the picture that was made of it.
#
# Guess:  picture.save("x.jxl") stores the pixels that the picture has, with a loss or without, as save("x.webp") and save("x.png") do.
# Truth:  as long as a picture says that its format is JPEG, the file it was opened from is stored, whatever was done to it in place: a
#         face that was painted over is there again, what was pasted in is not, and a thumbnail has the size of the whole. So
#         with quality=90 and with lossless=True. A warning speaks of a "lossless JXL image from JPEG", not of that. lossless_jpeg=False,
#         a copy() and a picture opened from PNG are right.
# Seen:   pillow-jxl-plugin 1.3.8, pillow 13.0.0, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pillow-jxl-plugin==1.3.8 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import pillow_jxl  # noqa: F401 - registers the format
from PIL import Image, ImageDraw

print("pillow-jxl-plugin", version("pillow-jxl-plugin"), "pillow", version("pillow"), "numpy", np.__version__)
source = Image.fromarray(np.full((48, 64, 3), 200, np.uint8))
source.save("picture.jpg", quality=95)
source.save("picture.png")


def painted(name):
    picture = Image.open(name)
    ImageDraw.Draw(picture).rectangle((10, 10, 40, 40), fill=(0, 0, 0))
    return picture


def stored(picture, ending="jxl", **options):
    """What is read again at a place that was painted black, and the size."""
    picture.save("out." + ending, **options)
    with Image.open("out." + ending) as back:
        return back.convert("RGB").getpixel((20, 20))[0], back.size


warnings.filterwarnings("ignore", message="Using JPEG reconstruction")
seen = {
    "as it is": stored(painted("picture.jpg")),
    "quality=90": stored(painted("picture.jpg"), quality=90),
    "lossless=True": stored(painted("picture.jpg"), lossless=True),
    "lossless_jpeg=False": stored(painted("picture.jpg"), lossless_jpeg=False),
    "copy()": stored(painted("picture.jpg").copy()),
    "opened from PNG": stored(painted("picture.png")),
    "saved as WebP": stored(painted("picture.jpg"), "webp"),
}
for name, (level, size) in seen.items():
    print(f"{name:20} black is {level:3}, size {size}")
small = Image.open("picture.jpg")
small.thumbnail((32, 32))
shrunk = stored(small)[1]
print("a thumbnail of", small.size, "is read as", shrunk)
for name in ("lossless_jpeg=False", "copy()", "opened from PNG", "saved as WebP"):
    if seen[name][0] > 20:
        sys.exit("CHANGED: what it is compared with does not hold: " + name)
if any(seen[name][0] < 180 for name in ("as it is", "quality=90", "lossless=True")) or shrunk == small.size:
    sys.exit("CHANGED: the picture is stored")
print("HOLDS: what was painted black is", seen["lossless=True"][0])
PY
