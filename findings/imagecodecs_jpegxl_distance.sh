#!/usr/bin/env bash
# imagecodecs' JPEG XL at distance 0 is not lossless.
#
# Guess:  jpegxl_encode(pixels, distance=0) is lossless, as -d 0 of cjxl is ("0 = mathematically lossless").
# Truth:  it is lossy: noise comes back off by up to 4 levels in 8 bits, by up to 26 in 16-bit gray, and the colour of what is
#         transparent is gone; the same in a TIFF of tifffile with compressionargs={"distance": 0}. lossless=True, and no
#         argument at all, are lossless.
# Seen:   imagecodecs 2026.3.6 (libjxl 0.11.2), tifffile 2026.3.3, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet imagecodecs==2026.3.6 tifffile==2026.3.3 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import sys

import imagecodecs
import numpy as np
import tifffile

print("imagecodecs", imagecodecs.__version__, imagecodecs.jpegxl_version(), "tifffile", tifffile.__version__)
drawn = np.random.default_rng(0)
rgb = drawn.integers(0, 256, (48, 64, 3)).astype(np.uint8)
rgba = drawn.integers(0, 256, (48, 64, 4)).astype(np.uint8)
rgba[:24, :, 3] = 0
gray = drawn.integers(0, 65536, (48, 64)).astype(np.uint16)


def direct(pixels, **how):
    return imagecodecs.jpegxl_decode(imagecodecs.jpegxl_encode(pixels, **how))


def in_tiff(pixels, **how):
    tifffile.imwrite("picture.tif", pixels, photometric="rgb", compression="jpegxl", compressionargs=how)
    return tifffile.imread("picture.tif")


def off(store, pixels, name, **how):
    """The largest difference to what was stored."""
    difference = int(np.abs(store(pixels, **how).astype(int) - pixels.astype(int)).max())
    print(f"{name:12} {how}: off by up to {difference}")
    return difference


exact = [off(direct, pixels, "direct", **how) for pixels in (rgb, rgba, gray) for how in ({"lossless": True}, {})]
exact.append(off(in_tiff, rgb, "tifffile", lossless=True))
lossy = [off(direct, rgb, "rgb", distance=0), off(direct, gray, "16-bit gray", distance=0), off(direct, rgba, "transparent", distance=0)]
lossy.append(off(in_tiff, rgb, "tifffile", distance=0))
if any(exact):
    sys.exit("CHANGED: what it is compared with does not hold")
if min(lossy) == 0:
    sys.exit("CHANGED: it is lossless")
print("HOLDS: off by up to", lossy)
PY
