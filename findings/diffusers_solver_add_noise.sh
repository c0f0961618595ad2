#!/usr/bin/env bash
# add_noise of DPM++, UniPC and DEIS adds much noise at small timesteps and little at large ones.
#
# Guess:  add_noise(clip, noise, t) of every scheduler of one configuration gives the same mixture, that of the training: sampler and
#         training can share one. A timestep that it does not know is refused.
# Truth:  made and not yet asked for timesteps, DPMSolverMultistep, DPMSolverSinglestep, UniPCMultistep and DEISMultistep have their noise
#         levels in one order and their timesteps in the other: at t = 10 of 1000 the mixture is that of 989, at 999 that of 0.
#         A model trained with it gets noise and is told that there is none. After set_timesteps(20) the twenty timesteps are
#         right, and all others get the noise of the last of them. DDPM and DDIM are right in both states. No warning.
# Seen:   diffusers 0.42.1, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet diffusers==0.42.1 torch==2.13.0 numpy==2.4.6 scipy==1.17.1
venv/bin/python -W ignore - <<'PY'
import sys

import diffusers
import torch

print("diffusers", diffusers.__version__, "torch", torch.__version__)
schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
times = (10, 262, 737, 989)


def shares(scheduler, names):
    """The share of the noise in what add_noise gives at each timestep."""
    clip, noise = torch.zeros(1, 3, 4, 8, 8), torch.ones(1, 3, 4, 8, 8)
    return [round(float(scheduler.add_noise(clip, noise, torch.tensor([name])).mean()), 4) for name in names]


def made(kind):
    return getattr(diffusers, kind + "Scheduler")(**schedule)


plain = ("DDPM", "DDIM")
solvers = ("DPMSolverMultistep", "DPMSolverSinglestep", "UniPCMultistep", "DEISMultistep")
wanted = shares(made("DDPM"), times)
mirrored = shares(made("DDPM"), [999 - time for time in times])
new, asked, known = {}, {}, {}
for kind in plain + solvers:
    scheduler = made(kind)
    new[kind] = shares(scheduler, times)
    scheduler.set_timesteps(20)
    asked[kind] = shares(scheduler, times)
    own = [int(time) for time in scheduler.timesteps]
    known[kind] = [shares(scheduler, own), shares(made("DDPM"), own)]
    print(f"{kind:20} noise at {times}: new {new[kind]}, after set_timesteps(20) {asked[kind]}")


def apart(found, other):
    return max(abs(one - two) for one, two in zip(found, other))


if any(apart(new[kind], wanted) > 0.01 or apart(asked[kind], wanted) > 0.01 for kind in plain):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(apart(*known[kind]) > 0.01 for kind in solvers):
    sys.exit("CHANGED: what it is compared with does not hold: its own timesteps are wrong after set_timesteps")
if any(apart(new[kind], mirrored) > 0.01 for kind in solvers):
    sys.exit("CHANGED: a new solver does not mirror the timesteps")
if any(apart(asked[kind], [asked[kind][0]] * len(times)) > 0.01 for kind in solvers):
    sys.exit("CHANGED: timesteps that it does not know get noise of their own")
print(f"HOLDS: at timestep {times[0]} a new solver adds {new['UniPCMultistep'][0]} of the noise, DDPM {wanted[0]}")
PY
