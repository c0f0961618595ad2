#!/usr/bin/env bash
# Pillow rotates and shifts 16-bit pictures into noise, and gives statistics of them that are not theirs.
#
# Guess:  a depth map or a mask of mode I;16 is rotated and measured as one of mode F, up to rounding, as it is resized; where
#         something is not made for 16 bits it says so, as reduce() does.
# Truth:  rotate() and transform() with BILINEAR or BICUBIC interpolate single bytes: of a smooth ramp up to 60000 most values
#         are off by some ten thousand, also where the shift is a whole pixel. NEAREST is right, and so is convert("I")
#         first. ImageStat.Stat computes over the 256 bins of a histogram whose ends are the picture's own extremes: the
#         mean of 0.1 .. 0.4 in mode F is 127, the sum 508, the extremes 0 and 254, and likewise for I and I;16.
# Seen:   pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import numpy as np
import PIL
from PIL import Image, ImageStat

print("pillow", PIL.__version__)
ramp = np.linspace(0, 60000, 64 * 64).reshape(64, 64).astype(np.uint16)
short, real = Image.fromarray(ramp), Image.fromarray(ramp.astype(np.float32))
ways = {
    "resize, bilinear": lambda picture: picture.resize((40, 40), Image.Resampling.BILINEAR),
    "rotate, nearest": lambda picture: picture.rotate(180),
    "rotate, bilinear": lambda picture: picture.rotate(10, Image.Resampling.BILINEAR),
    "rotate, bicubic": lambda picture: picture.rotate(10, Image.Resampling.BICUBIC),
    "shift by one, bilinear": lambda picture: picture.transform(
        (64, 64), Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0), Image.Resampling.BILINEAR
    ),
}
error = {}
for name, way in ways.items():
    apart = np.abs(np.asarray(way(short)).astype(float) - np.asarray(way(real)))
    whole = np.abs(np.asarray(way(short.convert("I"))).astype(float) - np.asarray(way(real)))
    error[name] = (float(np.median(apart)), float(np.median(whole)))
    print(f"{name:24} {short.mode} against F: median error {error[name][0]:8.1f}, after convert('I') {error[name][1]:.1f}")
values = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
statistics = ImageStat.Stat(Image.fromarray(values))
print(f"values {values.tolist()}: mean {statistics.mean}, sum {statistics.sum}, extremes {statistics.extrema}")
deep = ImageStat.Stat(short)
print(f"16-bit ramp with a mean of {ramp.mean():.0f}: mean {deep.mean[0]:.0f}, extremes {deep.extrema}")
if max(error["resize, bilinear"] + error["rotate, nearest"]) > 2 or any(whole > 2 for _, whole in error.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if min(error[name][0] for name in list(ways)[2:]) < 5000:
    sys.exit("CHANGED: 16-bit pictures are interpolated")
if statistics.mean[0] < 100 or deep.mean[0] > 256:
    sys.exit("CHANGED: statistics are those of the values")
print("HOLDS: a shift by one pixel is wrong by ten thousand, and the mean of 0.1 .. 0.4 is 127")
PY
