#!/usr/bin/env bash
# A learning-rate scheduler made for an optimizer that was already scheduled starts from the old rate, or resumes at a wrong one.
#
# Guess:  LambdaLR(optimizer, ...) multiplies the rate that the groups have now; and it does not matter whether a resumed run
#         loads the optimizer's state before or after it makes the scheduler, if both states are loaded.
# Truth:  the first scheduler leaves `initial_lr` in the groups, in the state as well, and a later one takes that: finetuning
#         at 1e-5 from a loaded state (the group's lr set by hand) runs at the 1e-3 of the old run. LambdaLR is below every
#         schedule of transformers and diffusers. And a scheduler's constructor writes the rate of ITS step 0 into the groups, which
#         its load_state_dict does not put back: optimizer loaded, then scheduler made and loaded, goes on from the warm-up's
#         first rate; SequentialLR and LinearLR, which reckon from the last rate, never come back to the right one.
#         Scheduler made first, then both loaded, is right.
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import copy
import sys

import torch
from torch.optim import lr_scheduler as schedulers

print("torch", torch.__version__)
SCHEDULES = {
    "LambdaLR": lambda optimizer: schedulers.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 5)),
    "CosineAnnealingLR": lambda optimizer: schedulers.CosineAnnealingLR(optimizer, 30),
    "LinearLR": lambda optimizer: schedulers.LinearLR(optimizer, 0.1, total_iters=20),
    "SequentialLR": lambda optimizer: schedulers.SequentialLR(
        optimizer, [schedulers.LinearLR(optimizer, 0.1, total_iters=5), schedulers.CosineAnnealingLR(optimizer, 25)], [5]
    ),
}


def optimizer(rate=1e-3):
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def run(adam, schedule, steps):
    rates = []
    for _ in range(steps):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        schedule.step()
    return rates


wrong = {}
for name, make in SCHEDULES.items():
    whole = optimizer()
    schedule = make(whole)
    run(whole, schedule, 10)
    saved = copy.deepcopy((whole.state_dict(), schedule.state_dict()))
    rest = run(whole, schedule, 15)
    late, early = optimizer(), optimizer()
    late.load_state_dict(saved[0])
    late_schedule, early_schedule = make(late), make(early)
    early.load_state_dict(saved[0])
    for one in (late_schedule, early_schedule):
        one.load_state_dict(saved[1])
    ratio = [
        [round(rate / right, 2) for rate, right in zip(run(adam, one, 15), rest)]
        for adam, one in ((early, early_schedule), (late, late_schedule))
    ]
    wrong[name] = (max(abs(value - 1) for value in ratio[0]), ratio[1][0], ratio[1][-1])
    print(f"{name:18} rate, of the right one: made before loading {ratio[0][:3]}, made after {ratio[1][:3]} ... {ratio[1][-1]}")
anew = optimizer()
SCHEDULES["LambdaLR"](anew)
tuned = optimizer()
tuned.load_state_dict(anew.state_dict())
tuned.param_groups[0]["lr"] = 1e-5
rates = run(tuned, SCHEDULES["LambdaLR"](tuned), 8)
print("a new LambdaLR at 1e-5:", rates[0], "...", rates[-1])
if any(early > 0.01 for early, _, _ in wrong.values()) or wrong["CosineAnnealingLR"][1:] != (1.0, 1.0):
    sys.exit("CHANGED: what it is compared with does not hold")
if abs(rates[-1] - 1e-3) > 1e-9:
    sys.exit("CHANGED: the new schedule starts from the group's rate")
if any(abs(wrong[name][1] - 1) < 0.1 or abs(wrong[name][2] - 1) < 0.1 for name in ("LinearLR", "SequentialLR")):
    sys.exit("CHANGED: a schedule made after loading goes on at the right rate")
if abs(wrong["LambdaLR"][1] - 0.2) > 0.01 or wrong["LambdaLR"][2] != 1.0:
    sys.exit("CHANGED: LambdaLR made after loading is right in its first step, or wrong later")
print("HOLDS: finetuned at a hundred times the rate, and a resumed warm-up never gets back")
PY
