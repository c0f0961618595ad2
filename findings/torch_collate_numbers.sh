#!/usr/bin/env bash
# The first sample of a batch decides whether a DataLoader's numbers are float32 or float64.
#
# Guess:  Python's floats are collated to float64, as default_collate says, and whole numbers among them change nothing.
# Truth:  default_collate looks at the first: an integer there makes torch.tensor of all, which is float32 where one of the
#         others is a float. Times of JSON, where 1700000000 has no point, are exact in batches that begin with a float and
#         up to 64 seconds off in the others; shuffling chooses which. Ids above 2**24 in a column with one float collide.
#         No warning. NumPy's and torch's own numbers keep their types.
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > collate.py <<'PY'
import json
import sys

import torch
from torch.utils.data import DataLoader

print("torch", torch.__version__)
lines = ['{"time": %s}' % time for time in ("1700000000", "1700000033.5", "1700000050", "1700000090.25")]
rows = [json.loads(line) for line in lines]
seen = {}
for name, order in (("float first", [1, 0, 2, 3]), ("integer first", [0, 1, 2, 3])):
    batch = next(iter(DataLoader([rows[number] for number in order], batch_size=4)))["time"]
    error = max(abs(got - rows[number]["time"]) for got, number in zip(batch.tolist(), order))
    seen[name] = (batch.dtype, error)
    print(f"{name:14} {batch.dtype}, {batch.tolist()}, at most {error} s off")
shuffled = DataLoader(rows * 50, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(0))
types = [batch["time"].dtype for batch in shuffled]
print("shuffled:", {str(kind): types.count(kind) for kind in set(types)}, "batches")
ids = next(iter(DataLoader([16_777_216, 16_777_217, 0.5], batch_size=3)))
print("16777216 and 16777217 beside 0.5:", ids.tolist())
if seen["float first"] != (torch.float64, 0.0):
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["integer first"][0] != torch.float32 or seen["integer first"][1] < 30 or torch.float32 not in types or ids[0] != ids[1]:
    sys.exit("CHANGED: batches that begin with an integer are as exact")
print("HOLDS: the same rows are exact or half a minute off")
PY
venv/bin/python collate.py
