#!/usr/bin/env bash
# In bfloat16 diffusers' add_noise adds no noise at the first timesteps.
#
# Guess:  scheduler.add_noise(latents, noise, t) on bfloat16 latents is that on float32, rounded: 0.1 to 3 percent of noise
#         at timesteps 0 to 5 of 1000.
# Truth:  the schedule is cast to the latents' type first, and 1 - alphas_cumprod is taken there: what is above 0.998 becomes 1,
#         so timesteps 0 to 5 have no noise at all, 10 has 1.3 times its noise, 20 1.1 times. Training in bfloat16 asks
#         the model for noise that is not there. Noise added in float32 and cast afterwards is right.
# Seen:   diffusers 0.42.1, torch 2.13.0: DDPMScheduler, DDIMScheduler
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet diffusers==0.42.1 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY' 2> errors.txt || { cat errors.txt >&2; exit 1; }
import sys

import diffusers
import torch

print("diffusers", diffusers.__version__, "torch", torch.__version__)
noise = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
clean = torch.zeros_like(noise)
seen = {}
for kind in (diffusers.DDPMScheduler, diffusers.DDIMScheduler):
    scheduler = kind(num_train_timesteps=1000)  # its own betas
    for t in (0, 1, 5, 10, 20, 50, 500):
        timesteps = torch.tensor([t])
        full = scheduler.add_noise(clean, noise, timesteps)
        half = scheduler.add_noise(clean.bfloat16(), noise.bfloat16(), timesteps).float()
        cast = full.bfloat16().float()
        seen[kind.__name__, t] = [x.std().item() for x in (full, half, cast)]
        print(f"{kind.__name__} t={t:3}  deviation of the noise: float32 {full.std():.4f}  bfloat16 {half.std():.4f}  "
              f"float32, then cast {cast.std():.4f}")
if any(abs(cast / full - 1) > 0.01 for full, _, cast in seen.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
for name in ("DDPMScheduler", "DDIMScheduler"):
    if any(seen[name, t][1] != 0 for t in (0, 1, 5)) or seen[name, 10][1] / seen[name, 10][0] < 1.2:
        sys.exit(f"CHANGED: {name} adds noise at the first timesteps")
print("HOLDS: no noise at timesteps 0 to 5, a third too much at 10")
PY
