#!/usr/bin/env bash
# In bfloat16 on the CPU adaptive_avg_pool3d, and interpolate(mode="area") of a video, add up in bfloat16.
#
# Guess:  averages of bfloat16 tensors are summed in float32, as mean(), adaptive_avg_pool2d and avg_pool2d do.
# Truth:  with five dimensions the sum stops at 256 times what is added. One value per frame from 32 x 32 pixels is a quarter of the
#         mean, from 64 x 64 a sixteenth. Output size 1 in all three is right. segment_reduce(reduce="mean") has it, too. So
#         features pooled for each frame and thumbnails made in bfloat16 are smaller the larger the frames are. (Under autocast
#         adaptive_avg_pool3d gives float32, and is right.)
# Seen:   torch 2.13.0 on the CPU
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

torch.set_num_threads(1)
print("torch", torch.__version__)


def video(side, kind):
    return torch.ones(1, 2, 4, side, side, dtype=kind)


ways = {
    "adaptive_avg_pool3d (4, 1, 1)": lambda side, kind: F.adaptive_avg_pool3d(video(side, kind), (4, 1, 1)),
    "interpolate area (4, 1, 1)": lambda side, kind: F.interpolate(video(side, kind), size=(4, 1, 1), mode="area"),
    "segment_reduce mean": lambda side, kind: torch.segment_reduce(
        video(side, kind).flatten(), "mean", lengths=torch.full((8,), side * side)
    ),
    "adaptive_avg_pool3d 1": lambda side, kind: F.adaptive_avg_pool3d(video(side, kind), 1),
    "adaptive_avg_pool2d (1, 1)": lambda side, kind: F.adaptive_avg_pool2d(video(side, kind)[0], (1, 1)),
    "adaptive_avg_pool2d (2, 2)": lambda side, kind: F.adaptive_avg_pool2d(video(side, kind)[0], (2, 2)),
    "mean": lambda side, kind: video(side, kind).mean((3, 4)),
}
sides = (8, 16, 32, 64, 128)
seen = {}
for name, way in ways.items():
    for kind in (torch.bfloat16, torch.float32):
        seen[name, kind] = [way(side, kind).float().min().item() for side in sides]
    print(f"{name:30} of ones, {sides}: bfloat16 {seen[name, torch.bfloat16]}, float32 {seen[name, torch.float32]}")
names = list(ways)
right = [seen[name, torch.float32] for name in names] + [seen[name, torch.bfloat16] for name in names[3:]]
if any(abs(value - 1) > 0.01 for found in right for value in found):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[name, torch.bfloat16][2] > 0.3 or seen[name, torch.bfloat16][3] > 0.1 for name in names[:3]):
    sys.exit("CHANGED: the sums do not stop")
print("HOLDS: the mean of 64 x 64 ones is", seen[names[0], torch.bfloat16][3])
PY
