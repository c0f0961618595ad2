#!/usr/bin/env bash
# On the CPU, GroupNorm loses its precision where the picture is channels-last.
#
# Guess:  nn.GroupNorm gives the same in both memory layouts, up to rounding (1e-6), as BatchNorm and the convolutions do.
# Truth:  for contiguous tensors the variance is computed stably; for channels-last ones it is the mean of the squares less
#         the square of the mean, in float32. Where a group's mean is ten times its deviation the output is off by 1e-4,
#         at a hundred times by 0.02, at a thousand it is noise of the size of the signal or more. Gradients follow.
#         No warning; model.to(memory_format=torch.channels_last) is the usual advice for speed on CPUs.
# Seen:   torch 2.13.0 on the CPU (4 dimensions; channels_last_3d is as bad)
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
import torch.nn.functional as F

print("torch", torch.__version__)
wrong = {}
for dimensions, layout in ((2, torch.channels_last), (3, torch.channels_last_3d)):
    shape = (1, 32, *([16] * dimensions))
    spread = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for mean in (0, 10, 100, 1000):
        picture = spread + mean
        truth = F.group_norm(picture.double(), 8)
        error = {
            "contiguous": (F.group_norm(picture, 8) - truth).abs().max().item(),
            "channels last": (F.group_norm(picture.contiguous(memory_format=layout), 8) - truth).abs().max().item(),
        }
        batch = F.batch_norm(picture.contiguous(memory_format=layout), None, None, training=True)
        other = (batch - F.batch_norm(picture.double(), None, None, training=True)).abs().max().item()
        wrong[dimensions, mean] = (error["contiguous"], error["channels last"], other)
        print(f"{dimensions}D mean {mean:5}: error {error}, BatchNorm channels last {other:.1e}")
for (dimensions, mean), (plain, last, batch) in wrong.items():
    if plain > 1e-3 or (mean == 0 and last > 1e-5):
        sys.exit("CHANGED: what it is compared with does not hold")
    if (mean == 100 and last < 5e-3) or (mean == 1000 and last < 0.3):
        sys.exit(f"CHANGED: channels last is off by {last:.1e} only, in {dimensions} dimensions at a mean of {mean}")
print("HOLDS: a mean a thousand times the deviation leaves nothing of the signal in channels last")
PY
