#!/usr/bin/env bash
# set_timesteps of diffusers' flow-matching scheduler shifts its last steps twice.
#
# Guess:  FlowMatchEulerDiscreteScheduler(shift=s).set_timesteps(n) goes from 1 to the least noise level of the schedule, 1/1000
#         shifted once, s/(1000 + s - 1); set_timesteps(1000) is the table `sigmas` that the scheduler has when it is made.
# Truth:  it goes evenly to the least level that is already shifted, and shifts all that once more. With shift 3 the last step
#         begins at 0.009 instead of 0.003, with 7 at 0.047 for 0.007, and with 12 (videos of high resolution) at 0.126 for 0.012:
#         with any number of steps an eighth of the noise is left to the last one. Given its sigmas, as most pipelines do,
#         the scheduler shifts once; those that give it a number of steps (Stable Diffusion 3, Wan with this scheduler) do not.
# Seen:   diffusers 0.42.1, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import diffusers
import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

print("diffusers", diffusers.__version__, "torch", torch.__version__)
seen = {}
for shift in (1.0, 3.0, 7.0, 12.0):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    table = scheduler.sigmas.clone()
    once = shift * 0.001 / (1 + (shift - 1) * 0.001)
    last = {}
    for steps in (10, 50, 1000):
        scheduler.set_timesteps(steps)
        last[steps] = float(scheduler.sigmas[-2])
    off = float((scheduler.sigmas[:1000] - table[:1000]).abs().max())
    scheduler.set_timesteps(sigmas=np.linspace(1, 0.001, 50))
    given = float(scheduler.sigmas[-2])
    seen[shift] = float(table.min()), once, last, off, given
    print(f"shift {shift:4}: least of the table {table.min():.5f}; the last step begins at",
          {steps: round(level, 5) for steps, level in last.items()}, f"with sigmas of one's own at {given:.5f};",
          f"1000 steps are off the table by {off:.3f}")
if any(abs(table - once) > 1e-5 or abs(given - once) > 1e-5 for table, once, _, _, given in seen.values()) or seen[1.0][3] > 1e-6:
    sys.exit("CHANGED: what it is compared with does not hold")
for shift, (_, once, last, *_) in seen.items():
    twice = shift * once / (1 + (shift - 1) * once)
    if any(abs(level - twice) > 1e-5 for level in last.values()):
        sys.exit(f"CHANGED: with shift {shift} the last step begins at {last}")
print("HOLDS: with shift 12 the last step begins at", round(seen[12.0][2][50], 3), "and not at", round(seen[12.0][1], 3))
PY
