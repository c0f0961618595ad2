#!/usr/bin/env bash
# torchmetrics' InceptionScore and KernelInceptionDistance draw from torch's own random numbers when they compute.
#
# Guess:  a metric is a function of what it was updated with, and to look at one changes nothing of a training.
# Truth:  compute() shuffles the items (InceptionScore) or draws subsets (KID) by the global generator: the same items
#         give another score each time, apart by as much as the deviation that it reports, and a training that computes
#         one draws other noise afterwards. There is no argument for a seed or a generator.
# Seen:   torchmetrics 1.9.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0
venv/bin/python -W ignore - <<'PY'
import sys

import torch
import torchmetrics
from torch import nn
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

print("torch", torch.__version__, "torchmetrics", torchmetrics.__version__)


class AsTheyAre(nn.Module):
    num_features = 10

    def forward(self, features):
        return features


features = torch.randn(1000, 10, generator=torch.Generator().manual_seed(0)) * 3


def score():
    metric = InceptionScore(feature=AsTheyAre(), splits=10)
    metric.update(features)
    return metric.compute()


def distance():
    metric = KernelInceptionDistance(feature=AsTheyAre(), subset_size=50)
    metric.update(features[:500], real=True)
    metric.update(features[500:], real=False)
    return metric.compute()


torch.manual_seed(0)
for name, compute in (("inception score", score), ("KID", distance)):
    found = [tuple(round(float(value), 4) for value in compute()) for _ in range(3)]
    torch.manual_seed(1)
    without = torch.rand(1)
    torch.manual_seed(1)
    compute()
    moved = not torch.equal(torch.rand(1), without)
    print(f"{name}: mean and deviation of the same items, three times: {found}; later random numbers differ: {moved}")
    if len(set(found)) == 1 or not moved:
        sys.exit(f"CHANGED: {name} no longer draws from torch's own random numbers")
print("HOLDS: a score of the same items differs each time, and computing it changes the random numbers that follow")
PY
