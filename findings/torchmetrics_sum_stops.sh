#!/usr/bin/env bash
# A count in torchmetrics' SumMetric stops at 16 777 216, and a mean of times is off by a minute, in float64, too.
#
# Guess:  SumMetric of whole numbers (frames, tokens) is their sum, and MeanMetric and MaxMetric of float64 compute in float64.
# Truth:  what is given is cast to the metric's own float32: a counter to which 1 is added stays at 16 777 216 for good, whatever comes,
#         sums of larger numbers are off by a few, and the mean, the largest and even the list (CatMetric) of times of today in float64
#         are off by up to a minute. No warning. metric.double() changes nothing; set_dtype(torch.float64) is right.
# Seen:   torchmetrics 1.9.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import torch
import torchmetrics
from torchmetrics.aggregation import CatMetric, MaxMetric, MeanMetric, SumMetric

print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__)
warnings.simplefilter("error")
kinds = {"as it is": lambda metric: metric, "double()": lambda metric: metric.double(), "set_dtype(float64)": lambda metric: metric.set_dtype(torch.float64)}
now = torch.tensor([1_764_000_045.25, 1_764_000_046.25], dtype=torch.float64)


def counted(change):
    """A counter of frames: 16 777 215 of them, then five times one more."""
    metric = change(SumMetric())
    for frames in (16_777_215, 1, 1, 1, 1, 1):
        metric.update(torch.tensor(frames))
    return int(metric.compute())


def times(change):
    """How far the mean, the largest and the list of two times of float64 are off, in seconds."""
    found = []
    for metric, right in ((MeanMetric(), now.mean()), (MaxMetric(), now.max()), (CatMetric(), now)):
        metric = change(metric)
        metric.update(now)
        found.append(float((metric.compute().double() - right).abs().max()))
    return found


seen = {name: (counted(change), times(change)) for name, change in kinds.items()}
for name, (count, off) in seen.items():
    print(f"{name:18}: 16 777 215 + 5 = {count}; mean, largest and list of times off by {off} seconds")
if seen["set_dtype(float64)"] != (16_777_220, [0.0, 0.0, 0.0]):
    sys.exit("CHANGED: what it is compared with does not hold")
for name in ("as it is", "double()"):
    count, off = seen[name]
    if count != 16_777_216 or min(off) < 10:
        sys.exit("CHANGED: counts or times are kept")
print("HOLDS: the counter stands still at 16 777 216")
PY
