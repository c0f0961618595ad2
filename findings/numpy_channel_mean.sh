#!/usr/bin/env bash
# The mean of each channel of float32 pixels is wrong in numpy, the mean of all of them is right.
#
# Guess:  numpy sums float32 in pairs, so that errors grow by the logarithm of the count: pixels.mean(axis=0) of 64 million
#         pixels with three channels is right to five digits, as pixels.mean() is and as torch's mean(dim=0) is.
# Truth:  pairs are made along the last axis alone; along others each sum is added to one by one. From 2**24 on, adding 1 to a
#         sum does nothing: of 64 million ones the mean of each channel is 0.25. Random pixels between 0 and 1 have
#         0.25 for 0.5, too, and a std(axis=0) of 0.36 for 0.29; at 16 million the mean is right to three digits. 64 million are
#         4096 frames of 128x128. dtype=float64 is right.
# Seen:   numpy 2.4.6, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import numpy as np
import torch

print("numpy", np.__version__, "torch", torch.__version__)
seen = {}
for millions in (1, 4, 16, 64):
    count = millions * 2**20
    pixels = np.empty((count, 3), np.float32)
    pixels[:] = np.random.default_rng(0).random((2**20, 3), np.float32)[np.arange(count) % 2**20]
    by_channel, exact = pixels.mean(axis=0), pixels[: 2**20].mean(axis=0, dtype=np.float64)
    seen[millions] = {
        "axis=0": float(np.abs(by_channel / exact - 1).max()),
        "all": float(abs(pixels.mean() / exact.mean() - 1)),
        "float64": float(np.abs(pixels.mean(axis=0, dtype=np.float64) / exact - 1).max()),
        "torch": float(np.abs(torch.from_numpy(pixels).mean(dim=0).numpy() / exact - 1).max()),
    }
    print(f"{millions:3} x 2**20 pixels: mean(axis=0) {by_channel.round(4)}, relative errors",
          {name: f"{error:.1e}" for name, error in seen[millions].items()})
deviation = pixels.std(axis=0), pixels[: 2**20].astype(np.float64).std(axis=0)
print("std(axis=0):", deviation[0].round(4), "exact:", deviation[1].round(4))
del pixels
ones = np.ones((2**26, 3), np.float32)
print("64 x 2**20 ones: mean(axis=0)", ones.mean(axis=0), "mean()", ones.mean())
if max(seen[64][name] for name in ("all", "float64", "torch")) > 1e-4:
    sys.exit("CHANGED: what it is compared with does not hold")
if ones.mean(axis=0).tolist() != [0.25] * 3 or seen[64]["axis=0"] < 0.3:
    sys.exit("CHANGED: the mean along the first axis is right")
print("HOLDS: the mean of a channel of 64 million pixels is off by", f"{seen[64]['axis=0']:.0%}")
PY
