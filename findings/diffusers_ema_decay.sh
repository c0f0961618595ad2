#!/usr/bin/env bash
# The moving average of diffusers warms up although its warm-up is off.
#
# Guess:  EMAModel(parameters, decay=0.9999, use_ema_warmup=False), which is the default, averages with 0.9999 from the
#         first step on; a shorter memory at the start is what use_ema_warmup=True adds.
# Truth:  without warm-up the decay is min(0.9999, (1 + n) / (10 + n)): 0.18 in the second step, 0.991 after a thousand,
#         and 0.9999 is reached after 90 thousand steps only. In a finetuning of some thousand steps any decay above
#         0.999 is the same average. With use_ema_warmup=True it grows faster or slower, by inv_gamma and power: a
#         thousand steps give 0.990 by the defaults.
# Seen:   diffusers 0.42.1, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 diffusers==0.42.1
venv/bin/python - <<'PY'
import sys

import diffusers
import torch
from diffusers.training_utils import EMAModel

print("diffusers", diffusers.__version__, "torch", torch.__version__)


def decays(decay, **options):
    parameter = torch.nn.Parameter(torch.zeros(1))
    average = EMAModel([parameter], decay=decay, **options)
    found = []
    for _ in range(1001):
        average.step([parameter])
        found.append(average.cur_decay_value)
    return found


off, short = decays(0.9999, use_ema_warmup=False), decays(0.999, use_ema_warmup=False)
print("decay 0.9999, warm-up off, in steps 2, 10, 100, 1001:", [round(off[n - 1], 4) for n in (2, 10, 100, 1001)])
warm = decays(0.9999, use_ema_warmup=True)
print("warm-up on:", [round(warm[n - 1], 4) for n in (2, 10, 100, 1001)])
if off != decays(0.9999):
    sys.exit("CHANGED: off is not the default")
expected = [0.0] + [(1 + n) / (10 + n) for n in range(1, 1001)]
if not all(abs(a - b) < 1e-9 for a, b in zip(off, expected)):
    sys.exit("CHANGED: without warm-up the decay is another")
if off != short:
    sys.exit("CHANGED: 0.999 and 0.9999 differ within a thousand steps")
print("HOLDS: after a thousand steps the decay is", round(off[-1], 4), "and not 0.9999")
PY
