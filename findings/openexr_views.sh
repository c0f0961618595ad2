#!/usr/bin/env bash
# OpenEXR writes the numbers of a transposed or sliced array in another order.
#
# Guess:  OpenEXR.File(header, {"RGB": frame.transpose(1, 2, 0)}).write stores that array, or refuses it.
# Truth:  it stores the array's shape and the memory that the view begins at, without a word: a frame brought from channels
#         first to channels last, a transposed or Fortran-ordered depth map, every second pixel of one and a crop come back
#         with the right shape and type and other numbers. np.ascontiguousarray before writing is the remedy.
# Seen:   OpenEXR 3.5.3, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet OpenEXR==3.5.3 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import OpenEXR

print("OpenEXR", version("OpenEXR"), "numpy", np.__version__)
frame = np.random.default_rng(0).random((3, 8, 10), dtype=np.float32)
depth = frame[0].copy()
channels_last = np.ascontiguousarray(frame.transpose(1, 2, 0))
arrays = {
    "channels last, made contiguous": channels_last,
    "depth": depth,
    "channels first to last": frame.transpose(1, 2, 0),
    "Fortran order": np.asfortranarray(depth),
    "transposed": depth.T,
    "every second pixel": depth[::2, ::2],
    "crop": depth[2:6, 2:8],
}
seen = {}
for name, array in arrays.items():
    channel = "RGB" if array.ndim == 3 else "Z"
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {channel: array}) as file:
        file.write("a.exr")
    with OpenEXR.File("a.exr") as file:
        read = file.channels()[channel].pixels
    alike = read.shape == array.shape and read.dtype == array.dtype
    seen[name] = float(np.abs(read - array).max()) if alike else None
    print(f"{name:31} shape {read.shape}, type {read.dtype}, furthest from what was written: {seen[name]}")
right = [name for name, far in seen.items() if far == 0]
if right[:2] != ["channels last, made contiguous", "depth"]:
    sys.exit("CHANGED: what it is compared with does not hold")
if right[2:] or None in seen.values() or min(seen[name] for name in seen if name not in right) < 0.5:
    sys.exit(f"CHANGED: these are right: {right}, {seen}")
print("HOLDS: views come back with other numbers")
PY
