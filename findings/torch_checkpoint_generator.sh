#!/usr/bin/env bash
# A checkpointed block that draws from a generator of its own has the gradient of another mask than it used.
#
# Guess:  torch.utils.checkpoint with preserve_rng_state=True, its default, computes the block again with the same random numbers.
# Truth:  it puts back the global generators alone. A torch.Generator that the block draws its dropout or stochastic depth from (so
#         that it does not depend on what others draw) has gone on, as have NumPy's and Python's: the backward pass uses another
#         mask than the forward pass. Zeros get gradients and kept entries none, without an error, reentrant or not.
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import random
import sys

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

print("torch", torch.__version__)
count = 4096
own = torch.Generator().manual_seed(0)
array = np.random.default_rng(0)
python = random.Random(0)
masks = {
    "global generator": lambda: torch.rand(count) < 0.5,
    "torch.Generator": lambda: torch.rand(count, generator=own) < 0.5,
    "numpy Generator": lambda: torch.from_numpy(array.random(count) < 0.5),
    "random.Random": lambda: torch.tensor([python.random() < 0.5 for _ in range(count)]),
}


def differing(mask, again):
    """The share of entries whose gradient belongs to another mask than the output."""
    inputs = torch.ones(count, requires_grad=True)

    def block(x):
        return x * mask()

    output = block(inputs) if again is None else checkpoint(block, inputs, **again)
    output.sum().backward()
    return float((inputs.grad != output.detach()).float().mean())


seen = {}
for name, mask in masks.items():
    seen[name] = {
        "plain": differing(mask, None), "checkpoint": differing(mask, {"use_reentrant": False}),
        "reentrant": differing(mask, {"use_reentrant": True}),
    }
    print(f"{name:17} share of gradients of another mask:", seen[name])
if any(seen["global generator"].values()) or any(found["plain"] for found in seen.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[name][way] < 0.4 for name in list(masks)[1:] for way in ("checkpoint", "reentrant")):
    sys.exit(f"CHANGED: the mask is the same: {seen}")
print("HOLDS: half of the gradients belong to another mask")
PY
