#!/usr/bin/env bash
# Frames picked evenly by numpy's and by torch's linspace are not the same frames.
#
# Guess:  np.linspace(0, frames - 1, count).astype(int) and torch.linspace(0, frames - 1, count).long() pick the same frames,
#         the whole part of exact steps: that is how evaluation code of video models picks them.
# Truth:  where a step falls on a frame exactly, it may come out a bit less and be cut to the frame before. Where, differs: of 64
#         frames of 154, numpy takes 50 for 51, 101 for 102 and 118 for 119, and torch is right; of 148, 172 or 184 it is torch
#         that is wrong. dtype=int changes nothing for numpy; dtype=torch.long changes which lengths are wrong. Picking 8, 16, 17,
#         32 or 33 frames was never wrong from 33 to 600. Whole numbers are exact:
#         [i * (frames - 1) // (count - 1) for i in range(count)].
# Seen:   numpy 2.4.6, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import numpy as np
import torch

print("numpy", np.__version__, "torch", torch.__version__)
PICKED = {
    "numpy": lambda frames, count: np.linspace(0, frames - 1, count).astype(int).tolist(),
    "numpy, dtype=int": lambda frames, count: np.linspace(0, frames - 1, count, dtype=int).tolist(),
    "torch": lambda frames, count: torch.linspace(0, frames - 1, count).long().tolist(),
    "torch, dtype=long": lambda frames, count: torch.linspace(0, frames - 1, count, dtype=torch.long).tolist(),
}


def exact(frames, count):
    return [i * (frames - 1) // (count - 1) for i in range(count)]


wrong = {
    name: {(frames, count) for count in (8, 16, 17, 32, 33, 64) for frames in range(max(33, count), 600) if pick(frames, count) != exact(frames, count)}
    for name, pick in PICKED.items()
}
for name, found in wrong.items():
    print(f"{name}: {len(found)} lengths up to 600 with other frames, for counts of {sorted({count for _, count in found})}: {sorted(found)[:4]}")
both = [[(a, b) for a, b in zip(PICKED[name](154, 64), exact(154, 64)) if a != b] for name in ("numpy", "torch")]
print("64 of 154 frames, picked and exact: numpy", both[0], "torch", both[1])
if not both[0] or both[1] or not wrong["torch"] - wrong["numpy"]:
    sys.exit("CHANGED: numpy and torch pick the same frames, or other ones than they did")
print("HOLDS: of", len(wrong["numpy"] ^ wrong["torch"]), "pairs of length and count, numpy and torch pick other frames")
PY
