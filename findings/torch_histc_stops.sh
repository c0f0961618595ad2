#!/usr/bin/env bash
# torch.histc stops counting at 16 777 216 in a bin.
#
# Guess:  the counts of torch.histc are rounded at worst, as float32 numbers are: 40 million zeros are 40 million in their bin.
# Truth:  each is counted by adding 1 to a float32 number, which stops at 2**24: of 40 million pixels of one gray 16 777 216 are
#         counted in one thread, and at most as many again in each further one. float64 values, np.histogram and torch.bincount
#         are exact.
# Seen:   torch 2.13.0, numpy 2.4.6, CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import sys

import numpy as np
import torch

torch.set_num_threads(1)
print("torch", torch.__version__, "numpy", np.__version__)
pixels = 40_000_000
black = torch.zeros(pixels)
counted = int(torch.histc(black, bins=2, min=-1, max=1)[1])
double = int(torch.histc(black.double(), bins=2, min=-1, max=1)[1])
numpy = int(np.histogram(black.numpy(), bins=2, range=(-1, 1))[0][1])
bins = int(torch.bincount(black.to(torch.uint8))[0])
print(f"{pixels} pixels: histc of float32 {counted}, of float64 {double}, np.histogram {numpy}, bincount {bins}")
if {double, numpy, bins} != {pixels}:
    sys.exit("CHANGED: what it is compared with does not hold")
if counted > pixels // 2:
    sys.exit("CHANGED: histc counts on")
print("HOLDS: of", pixels, "pixels", counted, "are counted")
PY
