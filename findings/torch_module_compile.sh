#!/usr/bin/env bash
# module.compile() compiles nothing where the module is one of torch.nn's own, and does not say so.
#
# Guess:  module.compile(...) is torch.compile(module, ...) in place, as its documentation says: the same graph either way.
# Truth:  it wraps the module's _call_impl, which, like every forward in torch/nn, is in Dynamo's list of skipped files. So a
#         Linear, a Sequential or a TransformerEncoderLayer runs as before; the backend is never asked, nothing is printed.
#         A module whose forward stands in other code is compiled, and torch.compile(module) compiles all of them. Only
#         fullgraph=True tells: it raises "found no compiled frames".
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > counted.py <<'PY'
import sys

import torch
from torch import nn


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x)


MODULES = {
    "nn.Linear": lambda: nn.Linear(4, 4),
    "nn.Sequential": lambda: nn.Sequential(nn.Linear(4, 4), nn.GELU()),
    "nn.TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
    "a class of one's own": Own,
}


def graphs(make, in_place):
    """How often a backend is asked when the module is called once."""
    asked = []

    def backend(graph, inputs):
        asked.append(graph)
        return graph.forward

    torch._dynamo.reset()
    module = make()
    if in_place:
        module.compile(backend=backend)
    else:
        module = torch.compile(module, backend=backend)
    module(torch.zeros(1, 3, 4))
    return len(asked)


print("torch", torch.__version__)
found = {name: (graphs(make, True), graphs(make, False)) for name, make in MODULES.items()}
for name, (in_place, wrapped) in found.items():
    print(f"{name:28} module.compile(): {in_place} graphs, torch.compile(module): {wrapped}")
own = found.pop("a class of one's own")
if own[0] < 1 or min(wrapped for _, wrapped in found.values()) < 1:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(in_place for in_place, _ in found.values()):
    sys.exit("CHANGED: module.compile() compiles modules of torch.nn")
print("HOLDS: module.compile() on modules of torch.nn compiles nothing, in silence")
PY
venv/bin/python counted.py
