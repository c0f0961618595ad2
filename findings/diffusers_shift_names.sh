#!/usr/bin/env bash
# from_config between diffusers' flow samplers drops the shift.
#
# Guess:  a sampler is exchanged by from_config: FlowMatchEuler made of the configuration of a UniPC with flow_shift=5 is shifted
#         by 5, and the other way, too, where use_flow_sigmas and the prediction type are given.
# Truth:  FlowMatchEuler and FlowMatchHeun call it `shift`, UniPC and DPM++ `flow_shift`, and the new sampler has 1: in the middle of
#         ten steps the noise level is 0.5 for 0.83. Between two that call it by one name it is kept.
# Seen:   diffusers 0.42.1, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet diffusers==0.42.1 torch==2.13.0 numpy==2.4.6 scipy==1.17.1
venv/bin/python - 2> warnings.txt <<'PY' || { tail -n 3 warnings.txt; exit 1; }
import sys

import diffusers
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler, UniPCMultistepScheduler

print("diffusers", diffusers.__version__, "torch", torch.__version__)
flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
euler, heun = FlowMatchEulerDiscreteScheduler(shift=5.0), FlowMatchHeunDiscreteScheduler(shift=5.0)
unipc, dpm = UniPCMultistepScheduler(flow_shift=5.0, **flow), DPMSolverMultistepScheduler(flow_shift=5.0, **flow)


def middle(scheduler):
    """The noise level in the middle of ten steps: about 0.83 with a shift of 5, 0.5 without one."""
    scheduler.set_timesteps(10)
    return float(scheduler.sigmas[len(scheduler.timesteps) // 2])


changes = {
    "Euler": euler, "Heun": heun, "UniPC": unipc, "DPM++": dpm,
    "UniPC to DPM++": DPMSolverMultistepScheduler.from_config(unipc.config),
    "Euler to Heun": FlowMatchHeunDiscreteScheduler.from_config(euler.config),
    "UniPC to Euler": FlowMatchEulerDiscreteScheduler.from_config(unipc.config),
    "DPM++ to Euler": FlowMatchEulerDiscreteScheduler.from_config(dpm.config),
    "Euler to UniPC": UniPCMultistepScheduler.from_config(euler.config, **flow),
    "Euler to DPM++": DPMSolverMultistepScheduler.from_config(euler.config, **flow),
}
seen = {name: middle(scheduler) for name, scheduler in changes.items()}
for name, level in seen.items():
    print(f"{name:15} noise level in the middle {level:.3f}")
lost = [name for name in seen if name in ("UniPC to Euler", "DPM++ to Euler", "Euler to UniPC", "Euler to DPM++")]
if any(level < 0.75 for name, level in seen.items() if name not in lost):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[name] > 0.65 for name in lost):
    sys.exit("CHANGED: the shift is kept")
print("HOLDS: the shift is lost between", ", ".join(lost))
PY
