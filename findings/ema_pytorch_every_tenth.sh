#!/usr/bin/env bash
# ema-pytorch's EMA(model, beta=0.99) remembers ten times as many steps as beta says.
#
# Guess:  beta is the decay of a step; update_every saves work and changes the average little.
# Truth:  by default weights are averaged in at every tenth call, each time with beta itself: what the model was decays over
#         1000 steps where beta=0.99 says 100; with update_every=1 over 100.
# Seen:   ema-pytorch 0.8.3, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet ema-pytorch==0.8.3 torch==2.13.0 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import importlib.metadata
import math
import sys

import torch
from ema_pytorch import EMA

print("ema-pytorch", importlib.metadata.version("ema-pytorch"), "torch", torch.__version__)


def memory(**options):
    """Calls of update() until a weight that went from 0 to 1 has 1 - 1/e in the average, after the warm-up."""
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()
    average = EMA(model, beta=0.99, **options)
    for _ in range(2000):
        average.update()
    model.weight.data.fill_(1.0)
    calls = 0
    while float(average.ema_model.weight) < 1 - math.exp(-1):
        average.update()
        calls += 1
    print(f"{options or 'as it is':}: {calls} steps")
    return calls


plain, every = memory(), memory(update_every=1)
if not 95 <= every <= 105:
    sys.exit("CHANGED: what it is compared with does not hold")
if plain < 900:
    sys.exit("CHANGED: the average remembers what beta says")
print("HOLDS: with beta=0.99 it remembers", plain, "steps")
PY
