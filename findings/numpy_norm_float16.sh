#!/usr/bin/env bash
# numpy.linalg.norm of float16 rows is 0 for small ones, without a warning, where the norm of each row alone is right.
#
# Guess:  np.linalg.norm(x, axis=1) is np.linalg.norm(row) of each row, up to rounding, and in float16 as exact as float16 is:
#         torch's is, which is computed in float32.
# Truth:  with an axis, squares are taken and summed in float16, whose smallest number is 6e-8: rows of 768 numbers of 1e-4 (norm
#         0.0028, well within float16) have the norm 0, and divided by it they are infinite. Numbers of 3e-4 are off by 15 %, of 1e-3
#         by 0.6 %. Without an axis the sum is kept in float32, and right. From a norm of 256 on both are infinite, with a warning, and
#         a normalised row is zeros: an embedding of 768 numbers of 10, of norm 277.
# Seen:   numpy 2.4.6, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import sys
import warnings

import numpy as np
import torch

print("numpy", np.__version__, "torch", torch.__version__)
ratio, silent = {}, {}
for size in (1e-4, 3e-4, 1e-3, 0.1, 10.0):
    rows = np.full((2, 768), size, np.float16)
    exact = float(np.linalg.norm(rows[0].astype(np.float64)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        of_rows = float(np.linalg.norm(rows, axis=1)[0])
    silent[size] = not said
    alone, by_torch = float(np.linalg.norm(rows[0])), float(torch.from_numpy(rows).norm(dim=1)[0])
    ratio[size] = [round(found / exact, 3) for found in (of_rows, alone, by_torch)]
    print(f"768 numbers of {size:g}, norm {exact:.4g}: axis=1 {of_rows:.4g}, the row alone {alone:.4g}, torch {by_torch:.4g}"
          f"{'' if silent[size] else ' (with a warning)'}")
unit = np.full((2, 768), 10, np.float16)
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
print("a normalised row of tens:", unit[0, :3])
if any(abs(found[2] - 1) > 0.002 for found in ratio.values()) or any(abs(ratio[size][1] - 1) > 0.002 for size in (1e-4, 3e-4, 1e-3, 0.1)):
    sys.exit("CHANGED: what it is compared with does not hold")
if ratio[1e-4][0] != 0.0 or abs(ratio[3e-4][0] - 1) < 0.1 or not (silent[1e-4] and silent[3e-4]):
    sys.exit("CHANGED: the norms of small rows are right, or it is said that they are not")
if ratio[10.0][:2] != [np.inf, np.inf] or unit.any():
    sys.exit("CHANGED: norms above 256 are finite")
print("HOLDS: a row's norm is 0 with axis=1 and right without; above 256 it is infinite")
PY
