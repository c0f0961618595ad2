#!/usr/bin/env bash
# Under autocast, the gradient of a weight that is used often is summed in bfloat16.
#
# Guess:  autocast computes products in bfloat16; gradients of float32 weights are float32 sums. A layer that is used many
#         times in one forward pass (over time, depth or patches) gets the sum over its uses.
# Truth:  all uses share one cached bfloat16 copy of the weight, and the gradients of the uses are added up at that copy, in
#         bfloat16: equal addends stop counting after 256 of them. With 2048 uses the gradient is an eighth of what it
#         should be. cache_enabled=False sums in float32.
# Seen:   torch 2.13.0, CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import sys

import torch
from torch import nn

print("torch", torch.__version__)
STEP = 0.125  # each use's share of the gradient, exact in bfloat16


def gradient(uses, cached):
    layer = nn.Linear(4, 4, bias=False)
    nn.init.ones_(layer.weight)
    x = torch.full((1, 4), STEP)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=cached):
        loss = sum(layer(x).float().sum() for _ in range(uses))
    loss.backward()
    assert layer.weight.grad.dtype == torch.float32
    return float(layer.weight.grad[0, 0])


seen = []
for uses in (64, 256, 512, 2048):
    seen.append((uses * STEP, gradient(uses, True), gradient(uses, False)))
    print("{} uses: right {:g}, autocast as it comes {:g}, without its cache {:g}".format(uses, *seen[-1]))
if any(right != uncached for right, _, uncached in seen):
    sys.exit("CHANGED: without the cache it is not right either")
if [cached for _, cached, _ in seen] != [8.0, 32.0, 32.0, 32.0]:
    sys.exit("CHANGED: with the cache the sum is another")
print("HOLDS: the gradient stays at that of 256 uses")
PY
