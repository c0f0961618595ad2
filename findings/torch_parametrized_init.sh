#!/usr/bin/env bash
# Initializing or changing a weight that has weight_norm, spectral_norm or orthogonal on it changes nothing, without a word.
#
# Guess:  nn.init.zeros_(layer.weight) of a layer with weight_norm makes its output zero (a residual branch that begins at zero), and
#         model.apply(init_weights) initializes it; where that is impossible it raises.
# Truth:  layer.weight is computed anew for each call: what is written goes to a tensor that nobody keeps. zeros_, normal_, mul_,
#         copy_ and .data leave the outputs as they were, to the bit, with parametrizations.weight_norm, spectral_norm and
#         orthogonal, with the older nn.utils.weight_norm and after pruning. So where normalization comes first and
#         initialization second, there is no initialization, and a branch meant to begin at zero does not.
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import sys

import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm

print("torch", torch.__version__)
torch.manual_seed(0)
inputs = torch.randn(4, 8)
kinds = {
    "plain": lambda layer: layer,
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "old weight_norm": weight_norm,
    "prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.25),
}
writes = {
    "init.zeros_": lambda layer: nn.init.zeros_(layer.weight),
    "init.normal_": lambda layer: nn.init.normal_(layer.weight, std=10.0),
    "weight.mul_": lambda layer: layer.weight.mul_(0.1),
    "weight.copy_": lambda layer: layer.weight.copy_(torch.eye(8) * 5),
    "weight.data": lambda layer: layer.weight.data.zero_(),
}
seen = {}
for kind, wrap in kinds.items():
    for name, write in writes.items():
        layer = wrap(nn.Linear(8, 8, bias=False)).eval()
        with torch.no_grad():
            before = layer(inputs)
            write(layer)
            after = layer(inputs)
        seen[kind, name] = float((after - before).norm() / before.norm())
    print(f"{kind:16} output moved by", {name: round(seen[kind, name], 3) for name in writes})
if any(moved < 0.5 for (kind, _), moved in seen.items() if kind == "plain"):
    sys.exit("CHANGED: what it is compared with does not hold: a plain layer does not change")
if any(moved != 0 for (kind, _), moved in seen.items() if kind != "plain"):
    sys.exit("CHANGED: a written weight counts")
print("HOLDS: none of", len(writes), "ways to write a weight changes anything")
PY
