#!/usr/bin/env bash
# torch.cdist gives a pair another distance where more than 25 rows are compared, and a point one from itself.
#
# Guess:  the distance of two points does not depend on what else is in the batch, and is 0 of a point to itself.
# Truth:  above 25 rows it is made of a matrix product: features around 10 (512 of them) are 0.2 away from themselves, and
#         copies that are 0.02 away are 0.06 away, so neighbours closer than that are found by rounding.
#         compute_mode="donot_use_mm_for_euclid_dist" gives the same distances for any number of rows.
# Seen:   torch 2.13.0, CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > rows.py <<'PY'
import sys

import torch

print("torch", torch.__version__)
torch.manual_seed(0)
points = torch.randn(64, 512) + 10
moved = points + 1e-3
true = float((points.double() - moved.double()).norm(dim=1).mean())
seen = {}
for mode in ("use_mm_for_euclid_dist_if_necessary", "donot_use_mm_for_euclid_dist"):
    for rows in (25, 26, 64):
        own = torch.cdist(points[:rows], points[:rows], compute_mode=mode)
        near = float(torch.cdist(points[:rows], moved[:rows], compute_mode=mode).diagonal().mean())
        seen[mode, rows] = float(own.diagonal().max()), near
        print(f"{mode}, {rows} rows: to itself at most {seen[mode, rows][0]:.4f}, to its copy {near:.4f} (it is {true:.4f})")
least = [seen["use_mm_for_euclid_dist_if_necessary", 25], *(value for key, value in seen.items() if key[0][0] == "d")]
if any(own != 0 or abs(near - true) > 1e-3 for own, near in least):
    sys.exit("CHANGED: what it is compared with does not hold")
own, near = seen["use_mm_for_euclid_dist_if_necessary", 26]
if own == 0 or near < 1.5 * true:
    sys.exit("CHANGED: more rows make no difference")
print(f"HOLDS: of 26 rows one is {own:.2f} away from itself, of 25 none")
PY
venv/bin/python rows.py
