#!/usr/bin/env bash
# Optimizer.load_state_dict rounds an optimizer's float32 state, and its counters, to the type of the parameters.
#
# Guess:  load_state_dict gives back what state_dict gave: a float32 master copy of bfloat16 weights, a float32 average, an
#         int64 counter, as load_state_dict of the same values in a plain dictionary would.
# Truth:  every tensor of the state that belongs to a floating-point parameter is cast to that parameter's type, unless its
#         key is called "step". An optimizer of one's own that keeps float32 masters for bfloat16 weights loses them on each
#         resume (0.999 becomes 1), and a counter of 1001 updates becomes 1000. Nothing is said.
#         Only tensors: numbers of Python survive, and so does what a load_state_dict post-hook puts back.
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


class Masters(torch.optim.Optimizer):
    """SGD on a float32 copy of each weight, with a counter of updates."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 1e-6})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state.update(master=weight.float(), step=torch.tensor(0), updates=torch.tensor(0), plain=0)
                state["master"] -= group["lr"] * weight.grad.float()
                for counter in ("step", "updates", "plain"):
                    state[counter] += 1
                weight.copy_(state["master"])


print("torch", torch.__version__)
weight = torch.nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
weight.grad = torch.ones_like(weight)
first = Masters([weight])
for _ in range(1001):
    first.step()
second = Masters([weight])
second.load_state_dict(first.state_dict())
before, after = first.state[weight], second.state[weight]
for key in before:
    print(f"{key:8} saved {before[key]!s:32} loaded {after[key]}")
if before["master"].dtype != torch.float32 or before["updates"].item() != 1001:
    sys.exit("CHANGED: what it is compared with does not hold")
if after["step"].dtype != torch.int64 or after["plain"] != 1001:
    sys.exit("CHANGED: `step` and plain numbers are cast too")
if after["master"].dtype != torch.bfloat16 or torch.equal(after["master"].float(), before["master"]):
    sys.exit("CHANGED: the float32 master survives")
if after["updates"].dtype != torch.bfloat16 or after["updates"].item() != 1000:
    sys.exit("CHANGED: the counter survives")
print("HOLDS: the float32 master came back as bfloat16, and 1001 updates as 1000")
PY
