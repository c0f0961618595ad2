#!/usr/bin/env bash
# With a learning rate given as a tensor, all parameter groups share it, and the last group's schedule rules them all.
#
# Guess:  AdamW([{"params": a}, {"params": b}], lr=torch.tensor(0.1)) with LambdaLR(optimizer, [f, g]) trains a by f and b by
#         g, as it does with lr=0.1. A tensor is what torch's tutorials give compiled optimizers, so that a new rate does not
#         compile anew.
# Truth:  the one tensor is put into every group, and schedulers write into it in place: each group's write overwrites the
#         last, and all groups get the rate of the last group. A backbone at a tenth of the head's rate trains at the head's.
#         The same holds for every scheduler with rates by group. A tensor per group is right.
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
from torch.optim.lr_scheduler import LambdaLR

print("torch", torch.__version__)


def rates(first, second, shared):
    """The two groups' rates after three steps; rates of the groups' own, or one that both inherit."""
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [{"params": [weight]} for weight in weights]
    if not shared:
        groups[0]["lr"], groups[1]["lr"] = first, second
    optimizer = torch.optim.AdamW(groups, lr=first, weight_decay=0.0)
    schedule = LambdaLR(optimizer, [lambda step: 1.0, lambda step: 0.1])
    for _ in range(3):
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()
        schedule.step()
    moved = [round(1 - weight.item(), 4) for weight in weights]
    return [round(float(group["lr"]), 6) for group in optimizer.param_groups], moved


number = rates(0.1, 0.1, shared=True)
tensor = rates(torch.tensor(0.1), None, shared=True)
apart = rates(torch.tensor(0.1), torch.tensor(0.1), shared=False)
print("lr=0.1                rates", number[0], "moved", number[1])
print("lr=tensor(0.1)        rates", tensor[0], "moved", tensor[1])
print("a tensor per group    rates", apart[0], "moved", apart[1])
if number != ([0.1, 0.01], [0.3, 0.03]) or apart != number:
    sys.exit("CHANGED: what it is compared with does not hold")
if tensor != ([0.01, 0.01], [0.03, 0.03]):
    sys.exit("CHANGED: groups that inherit a tensor have rates of their own")
print("HOLDS: the first group was trained at a tenth of its rate")
PY
