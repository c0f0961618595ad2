#!/usr/bin/env bash
# Frames that tifffile wrote one by one are read back by tifffile.imread as the first frame alone.
#
# Guess:  TiffWriter.write in a loop, and imwrite(append=True), make a stack that imread gives back, as one write of the array does.
# Truth:  each write is a series of its own, and imread reads the first series: (16, 24) of twelve frames, without an error or a
#         warning; the same for colour and for compressed frames. All frames are in the file: Pillow counts twelve pages,
#         imread(key=range(12)) reads them, and write(..., contiguous=True), for frames that are not compressed, makes one series.
# Seen:   tifffile 2026.3.3, numpy 2.4.6, pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tifffile==2026.3.3 numpy==2.4.6 pillow==13.0.0
venv/bin/python -W error - <<'PY'
import sys

import numpy as np
import tifffile
from PIL import Image
from tifffile import TiffWriter, imread, imwrite

print("tifffile", tifffile.__version__, "numpy", np.__version__)
gray = np.random.default_rng(0).integers(0, 256, (12, 16, 24), np.uint8)
colour = np.repeat(gray[..., None], 3, axis=-1)


def in_turn(name, frames, **how):
    with TiffWriter(name) as file:
        for frame in frames:
            file.write(frame, **how)


def appended(name, frames, **how):
    for frame in frames:
        imwrite(name, frame, append=True, **how)


cases = {
    "one array": (lambda name: imwrite(name, gray), gray),
    "in turn": (lambda name: in_turn(name, gray), gray),
    "in turn, colour": (lambda name: in_turn(name, colour, photometric="rgb"), colour),
    "in turn, compressed": (lambda name: in_turn(name, gray, compression="zlib"), gray),
    "appended": (lambda name: appended(name, gray), gray),
    "in turn, contiguous=True": (lambda name: in_turn(name, gray, contiguous=True), gray),
}
whole = {}
for case, (write, frames) in cases.items():
    name = case + ".tif"
    write(name)
    read = imread(name)
    with Image.open(name) as picture:
        pages = picture.n_frames
    if not np.array_equal(imread(name, key=range(12)), frames) or pages != 12:
        sys.exit("CHANGED: the file does not hold all frames")
    whole[case] = np.array_equal(read, frames)
    if not whole[case] and not np.array_equal(read, frames[0]):
        sys.exit("CHANGED: imread gives neither all frames nor the first one")
    print(f"{case:25} imread: {read.shape}")
if not whole["one array"] or not whole["in turn, contiguous=True"]:
    sys.exit("CHANGED: what it is compared with does not hold")
if sum(whole.values()) != 2:
    sys.exit("CHANGED: imread gives all frames")
print("HOLDS: one frame of twelve is read")
PY
