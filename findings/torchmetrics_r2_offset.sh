#!/usr/bin/env bash
# R2 and explained variance of torchmetrics are wrong where the numbers are far from 0 compared with their spread.
#
# Guess:  the share of variance that is explained does not change when a number is added to targets and predictions.
# Truth:  the variance is made of sums of squares, in float32: of predictions that explain 0.99, R2 is 0 around 10000 (by
#         other draws 1.0006), the explained variance 1.0012 there, and both are 0 around 100000, where milliseconds of a
#         clip of two minutes are. In float64 both are right, and so is the Pearson correlation in float32.
# Seen:   torchmetrics 1.9.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cat > offset.py <<'PY'
import sys
from importlib.metadata import version

import torch
from torchmetrics.functional import explained_variance, pearson_corrcoef, r2_score

print("torchmetrics", version("torchmetrics"), "torch", torch.__version__)
torch.manual_seed(0)
spread, noise = torch.randn(1000), 0.1 * torch.randn(1000)
for offset in (0.0, 1e4, 1e5):
    target = spread + offset
    found = target + noise
    single = [float(of(found, target)) for of in (r2_score, explained_variance, pearson_corrcoef)]
    double = [float(of(found.double(), target.double())) for of in (r2_score, explained_variance, pearson_corrcoef)]
    print(f"around {offset:g}: R2 {single[0]:.4f}, explained {single[1]:.4f}, Pearson {single[2]:.4f}; in float64 "
          f"{double[0]:.4f}, {double[1]:.4f}, {double[2]:.4f}")
    if not all(0.98 < value < 1 for value in (*double, single[2])):
        sys.exit("CHANGED: what it is compared with does not hold")
    if offset == 0 and max(abs(a - b) for a, b in zip(single, double, strict=True)) > 1e-4:
        sys.exit("CHANGED: what it is compared with does not hold")
if 0.98 < single[0] < 1 or 0.98 < single[1] < 1:
    sys.exit("CHANGED: the offset counts no more")
print("HOLDS: the share depends on what is added to both")
PY
venv/bin/python offset.py
