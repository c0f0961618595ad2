#!/usr/bin/env bash
# Big-endian 16-bit pictures are stored as JPEG 2000 with their bytes swapped.
#
# Guess:  jpeg2k_encode and htj2k_encode of imagecodecs take the values of a big-endian array, or refuse it as every other
#         encoder of imagecodecs does; imwrite(byteorder=">") of tifffile changes the file's order of bytes, not its pixels.
# Truth:  the bytes are taken as little-endian: 20, 40, 60 come back as 5120, 10240, 15360, without a word; a TIFF that tifffile
#         writes with byteorder=">" and compression="jpeg2000" holds such pixels. With "<", or compressed by zlib, they are right.
# Seen:   imagecodecs 2026.3.6, tifffile 2026.3.3, numpy 2.4.6
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

print("imagecodecs", imagecodecs.__version__, "tifffile", tifffile.__version__, "numpy", np.__version__)
picture = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
swapped = picture.byteswap()


def stored(byteorder, **how):
    tifffile.imwrite("picture.tif", picture, byteorder=byteorder, **how)
    return tifffile.imread("picture.tif")


big = picture.astype(">u2")
seen = {
    "jpeg2k_encode": imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(big)),
    "htj2k_encode": imagecodecs.htj2k_decode(imagecodecs.htj2k_encode(big)),
    "imwrite, jpeg2000": stored(">", compression="jpeg2000"),
}
right = {
    "jpeg2k_encode, native": imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(picture)),
    "imwrite, jpeg2000, <": stored("<", compression="jpeg2000"),
    "imwrite, zlib": stored(">", compression="zlib"),
}
refused = []
for name in ("png", "jpegxl", "jpegls", "jpegxr", "ljpeg"):
    try:
        getattr(imagecodecs, name + "_encode")(big)
    except ValueError:
        refused.append(name)
print("stored:", picture[0, :4], "refused by", *refused)
for name, pixels in (seen | right).items():
    print(f"{name:22} {pixels[0, :4]}")
if len(refused) != 5 or not all(np.array_equal(pixels, picture) for pixels in right.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if not all(np.array_equal(pixels, swapped) for pixels in seen.values()):
    sys.exit("CHANGED: the bytes are not swapped")
print("HOLDS: the bytes of every pixel are swapped")
PY
