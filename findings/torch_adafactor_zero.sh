#!/usr/bin/env bash
# torch's Adafactor hardly moves weights that begin at zero: a LoRA's B, gates and last layers of a diffusion transformer.
#
# Guess:  lr=1e-3 means about that much a step, for every weight, as in AdamW.
# Truth:  the step is multiplied by the root mean square of the weight itself, or by 0.001 where that is less: weights that begin at
#         zero (LoRA's B, adaLN-zero, ControlNet's zero convolutions, the last layer) move by 1e-6 a step. After 1000 steps of
#         one gradient they are at 0.001, where AdamW is at 1, and a LoRA has learned half a percent in 500 steps, where the
#         others have learned all. torch has no switch for it; transformers' Adafactor has scale_parameter=False.
# Seen:   torch 2.13.0, transformers 5.23.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 transformers==5.23.0 numpy==2.4.6
HF_HUB_OFFLINE=1 venv/bin/python - <<'PY'
import sys

import torch
import transformers
from transformers.optimization import Adafactor

torch.set_num_threads(1)
print("torch", torch.__version__, "transformers", transformers.__version__)


def learn(optimizer, steps):
    """A LoRA, B A with B = 0, learns a matrix of its rank: the share of the error that is left."""
    torch.manual_seed(0)
    target = torch.randn(64, 4) @ torch.randn(4, 64) / 64
    a, b = torch.nn.Parameter(torch.randn(4, 64) / 8), torch.nn.Parameter(torch.zeros(64, 4))
    made = optimizer([a, b])
    for _ in range(steps):
        made.zero_grad()
        (b @ a - target).square().sum().backward()
        made.step()
    return float((b @ a - target).square().sum() / target.square().sum()), float(b.detach().abs().max())


def straight(optimizer, start, steps):
    weight = torch.nn.Parameter(torch.full((64, 64), start))
    made = optimizer([weight])
    for _ in range(steps):
        weight.grad = torch.full_like(weight, -1.0)
        made.step()
    return weight[0, 0].item()


ways = {
    "torch AdamW": lambda weights: torch.optim.AdamW(weights, lr=1e-3, weight_decay=0),
    "torch Adafactor": lambda weights: torch.optim.Adafactor(weights, lr=1e-3, weight_decay=0),
    "transformers Adafactor, scale_parameter=False": lambda weights: Adafactor(
        weights, lr=1e-3, scale_parameter=False, relative_step=False, warmup_init=False
    ),
}
seen = {}
for name, way in ways.items():
    seen[name] = {"from 0": straight(way, 0.0, 1000), "from 0.02": straight(way, 0.02, 1000), "LoRA, 500 steps": learn(way, 500)}
    print(f"{name:46}", {key: value if isinstance(value, float) else f"error left {value[0]:.3f}, B {value[1]:.5f}" for key, value in seen[name].items()})
slow = seen.pop("torch Adafactor")
if any(found["from 0"] < 0.9 or found["LoRA, 500 steps"][0] > 0.1 for found in seen.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if slow["from 0"] > 0.01 or slow["LoRA, 500 steps"][0] < 0.9:
    sys.exit(f"CHANGED: weights that begin at zero move: {slow}")
print("HOLDS: after 1000 steps of 0.001 a weight that was 0 is", round(slow["from 0"], 5))
PY
