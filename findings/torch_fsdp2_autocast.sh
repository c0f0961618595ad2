#!/usr/bin/env bash
# A pass without gradient takes the gradients of the next one, if the model is sharded.
#
# Guess:  a forward pass under no_grad (an estimate that the model is then given, a teacher's target) changes nothing about
#         the pass after it, in whatever precision and on however many devices.
# Truth:  within one autocast block, a layer sharded by fully_shard gets no gradient in the second pass: .grad is None, and
#         nothing is said. Unsharded layers, a single pass, or autocast with cache_enabled=False: all gradients are there.
#         One process is enough.
# Seen:   torch 2.13.0, gloo, CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat >probe.py <<'PY'
import sys
from itertools import product

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

print("torch", torch.__version__)
dist.init_process_group("gloo", init_method="file:///" + sys.argv[1].lstrip("/"), rank=0, world_size=1)


def without_gradient(sharded, cache, first_pass):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8))
    if sharded:
        for module in (model[0], model[2], model):
            fully_shard(module)
    x = torch.randn(4, 8)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=cache):
        if first_pass:
            with torch.no_grad():
                x = x + model(x)
        model(x).square().mean().backward()
    return [name for name, parameter in model.named_parameters() if parameter.grad is None]


lost = {}
for case in product((False, True), repeat=3):
    lost[case] = without_gradient(*case)
    print("sharded {}, autocast's cache {}, first pass {}: without gradient {}".format(*case, lost[case]))
dist.destroy_process_group()
if any(names for case, names in lost.items() if case != (True, True, True)):
    sys.exit("CHANGED: gradients are missing elsewhere too")
if lost[True, True, True] != ["2.weight", "2.bias"]:
    sys.exit("CHANGED: the sharded layer's gradients are there")
print("HOLDS: after a pass without gradient the last sharded layer has none either")
PY
venv/bin/python -W ignore probe.py "$work/meeting"
