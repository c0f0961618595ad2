#!/usr/bin/env bash
# accelerate gives the last, shorter group of accumulated batches a fraction of its weight.
#
# Guess:  accumulate() takes a step at the end of a loader by itself, so it knows how many batches are in the last group, and its
#         gradient is their mean as it is that of every other group.
# Truth:  every loss is divided by gradient_accumulation_steps: of 9 batches in groups of 4 the ninth, alone in its group, has a
#         quarter of its gradient; a loader of three batches has three quarters in every epoch.
# Seen:   accelerate 1.15.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet accelerate==1.15.0 torch==2.13.0 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import sys

import accelerate
import torch
from torch.utils.data import DataLoader

print("accelerate", accelerate.__version__, "torch", torch.__version__)


def gradients(batches, group):
    """The gradient at each step of a model whose gradient is 1 for every batch."""
    accelerator = accelerate.Accelerator(gradient_accumulation_steps=group, cpu=True)
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model, optimizer, loader = accelerator.prepare(model, optimizer, DataLoader(torch.ones(batches, 1)))
    found = []
    for batch in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(batch).mean())
            if accelerator.sync_gradients:
                found.append(float(model.weight.grad))
            optimizer.step()
            optimizer.zero_grad()
    print(f"{batches} batches in groups of {group}: gradients {found}")
    return found


whole, rest, short = gradients(8, 4), gradients(9, 4), gradients(3, 4)
if whole != [1.0, 1.0]:
    sys.exit("CHANGED: what it is compared with does not hold")
if rest != [1.0, 1.0, 0.25] or short != [0.75]:
    sys.exit("CHANGED: the last group counts in full")
print("HOLDS: a last group of one batch has a gradient of", rest[-1])
PY
