#!/usr/bin/env bash
# random.shuffle makes of a tensor, or of an array with rows, one with repeated and missing entries.
#
# Guess:  random.shuffle(torch.arange(10)) is a permutation, as that of a list or of a one-dimensional array of NumPy.
# Truth:  it swaps by `x[i], x[j] = x[j], x[i]`, and x[i] of a tensor is a view of what is overwritten: both become one. Of
#         ten clips five or six are left, the rest are repetitions; the same with the rows of a NumPy array. Type, length and
#         range are right, and training on it leaves out nearly half of the clips. torch.randperm, Generator.permutation and a
#         shuffled list of numbers are right.
# Seen:   torch 2.13.0, numpy 2.4.6, Python 3.11.7
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import random
import sys

import numpy as np
import torch

print("torch", torch.__version__, "numpy", np.__version__, "python", sys.version.split()[0])
seen = {}
for name, make in {
    "list": lambda: list(range(10)),
    "numpy, numbers": lambda: np.arange(10),
    "numpy, rows": lambda: np.repeat(np.arange(10)[:, None], 2, axis=1),
    "torch, numbers": lambda: torch.arange(10),
    "torch, rows": lambda: torch.arange(10)[:, None].repeat(1, 2),
}.items():
    left = []
    for seed in range(100):
        clips = make()
        random.Random(seed).shuffle(clips)
        left.append(len(set(np.asarray(clips).reshape(10, -1)[:, 0].tolist())))
    seen[name] = sum(left) / len(left)
    last = np.asarray(clips).reshape(10, -1)[:, 0].tolist()
    print(f"{name:16} different clips of 10, mean of 100 shuffles: {seen[name]:.2f}; the last: {last}")
if seen["list"] != 10 or seen["numpy, numbers"] != 10:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(not 4 < seen[name] < 8 for name in ("numpy, rows", "torch, numbers", "torch, rows")):
    sys.exit(f"CHANGED: {seen}")
print("HOLDS: nearly half of the clips are gone")
PY
