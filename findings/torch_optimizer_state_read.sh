#!/usr/bin/env bash
# Reading an optimizer's state for a checkpoint changes the training that follows, if no step was made yet.
#
# Guess:  torch.distributed.checkpoint.state_dict.get_optimizer_state_dict (and get_state_dict) reads.
# Truth:  an optimizer without state is given some by a step with zero gradients and rate 0. AdamW then counts that
#         step: its first real one is corrected as the second, and moves 0.74 of what it would. A checkpoint of step 0,
#         or a look at the state's size, gives other weights than a run that made none. optimizer.state_dict() reads.
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, get_state_dict

print("torch", torch.__version__)


def first_moves(read, steps=3):
    """Mean movement of a weight after each step, and the step that AdamW counts at the end."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    start = model.weight.detach().clone()
    read(model, optimizer)
    moved = []
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()
        moved.append((model.weight - start).abs().mean().item())
    return moved, int(optimizer.state[model.weight]["step"])


ways = {
    "nothing read": lambda model, optimizer: None,
    "optimizer.state_dict()": lambda model, optimizer: optimizer.state_dict(),
    "get_optimizer_state_dict": lambda model, optimizer: get_optimizer_state_dict(model, optimizer),
    "get_state_dict": lambda model, optimizer: get_state_dict(model, optimizer),
}
seen = {name: first_moves(read) for name, read in ways.items()}
for name, (moved, step) in seen.items():
    print(f"{name:26} moved {' '.join(f'{m:.5f}' for m in moved)} after steps 1, 2, 3; AdamW counts {step}")
if seen["nothing read"] != seen["optimizer.state_dict()"] or seen["nothing read"][1] != 3:
    sys.exit("CHANGED: what it is compared with does not hold")
for name in ("get_optimizer_state_dict", "get_state_dict"):
    (moved, step), alone = seen[name], seen["nothing read"][0]
    if step != 4 or not 0.7 < moved[0] / alone[0] < 0.8:
        sys.exit(f"CHANGED: {name} leaves the training as it is")
print("HOLDS: reading the state before the first step counts as a step; the first real one moved 0.74 as far")
PY
