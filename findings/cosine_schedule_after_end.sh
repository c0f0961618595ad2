#!/usr/bin/env bash
# The cosine schedule of transformers and diffusers rises to the full rate again when training goes on past its end.
#
# Guess:  after num_training_steps the rate stays at 0 (or at its minimum), as it does with the linear, the polynomial and the
#         warmup-stable-decay schedule; a run that goes on, or whose steps were counted wrongly (per process, per
#         accumulated batch), learns nothing more.
# Truth:  the cosine goes on: the rate climbs back, over as many steps as it fell, and a finished model is trained
#         at the full rate again. The variant with a minimum does the same; "cosine with hard restarts" stays at 0.
# Seen:   transformers 5.23.0, diffusers 0.42.1, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet transformers==5.23.0 diffusers==0.42.1 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import diffusers
import diffusers.optimization
import torch
import transformers
import transformers.optimization

print("transformers", transformers.__version__, "diffusers", diffusers.__version__, "torch", torch.__version__)
warm = {"num_warmup_steps": 10, "num_training_steps": 100}
kinds = {
    "get_linear_schedule_with_warmup": warm,
    "get_polynomial_decay_schedule_with_warmup": warm,
    "get_cosine_with_hard_restarts_schedule_with_warmup": warm,
    "get_wsd_schedule": {"num_warmup_steps": 10, "num_stable_steps": 40, "num_decay_steps": 50},
    "get_cosine_schedule_with_warmup": warm,
    "get_cosine_with_min_lr_schedule_with_warmup": warm | {"min_lr": 0.01},
}
seen = {}
for library in (transformers, diffusers):
    for name, settings in kinds.items():
        make = getattr(library.optimization, name, None)
        if make is None:
            continue
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer, **settings)
        rates = []
        for _ in range(200):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        seen[library.__name__, name] = [round(rates[step], 3) for step in (100, 120, 150, 190)]
        print(f"{library.__name__:12} {name:52} after 100, 120, 150, 190 steps: {seen[library.__name__, name]}")
rising = {key for key, rates in seen.items() if rates[0] <= 0.01 and rates[-1] > 0.99}
if any(rates != [0.0] * 4 for (_, name), rates in seen.items() if name in list(kinds)[:4]):
    sys.exit("CHANGED: what it is compared with does not hold")
expected = {(library, "get_cosine_schedule_with_warmup") for library in ("transformers", "diffusers")}
if rising != expected | {("transformers", "get_cosine_with_min_lr_schedule_with_warmup")}:
    sys.exit(f"CHANGED: those that rise again are {sorted(rising)}")
print("HOLDS: 90 steps past its end the cosine schedule is at the full rate")
PY
