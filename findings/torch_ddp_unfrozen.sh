#!/usr/bin/env bash
# A layer that is unfrozen after the model was wrapped in DistributedDataParallel is trained by each rank for itself.
#
# Guess:  requires_grad_(True) on a frozen layer, after some warm-up, is enough: its gradients are averaged as all others.
# Truth:  DDP looks at requires_grad once, when it wraps. The layer's gradients stay those of the rank; its weights drift apart,
#         without a word, and the checkpoint of rank 0 holds weights that only its share of the data has trained. Wrapped
#         anew after the change, DDP averages them.
# Seen:   torch 2.13.0, gloo
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > ranks.py <<'PY'
import sys
import warnings

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def drift(again):
    """How far the ranks' weights of the layer are apart after training with it unfrozen, and the other layer's."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    layers[0].requires_grad_(False)
    model = DistributedDataParallel(layers)
    layers[0].requires_grad_(True)
    if again:
        model = DistributedDataParallel(layers)
    optimizer = torch.optim.SGD(layers.parameters(), lr=0.05)
    data = torch.Generator().manual_seed(dist.get_rank())
    for _ in range(20):
        optimizer.zero_grad()
        model(torch.randn(4, 8, generator=data)).square().mean().backward()
        optimizer.step()
    apart = []
    for layer in layers:
        found = [torch.empty_like(layer.weight) for _ in range(dist.get_world_size())]
        dist.all_gather(found, layer.weight.detach())
        apart.append(float((found[0] - found[1]).abs().max()))
    return apart


dist.init_process_group("gloo")
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    seen = {"wrapped once": drift(False), "wrapped again": drift(True)}
about = [str(one.message) for one in said if "requires_grad" in str(one.message)]
if dist.get_rank() == 0:
    print("torch", torch.__version__)
    for name, apart in seen.items():
        print(f"{name:14} ranks apart: unfrozen layer {apart[0]:.4f}, the other {apart[1]:.4f}")
    print("warnings about it:", about)
    if max(seen["wrapped again"]) > 1e-6:
        sys.exit("CHANGED: what it is compared with does not hold")
    if seen["wrapped once"][0] < 0.01 or about:
        sys.exit("CHANGED: the layer is averaged, or there is a warning")
    print("HOLDS: the unfrozen layer is not averaged")
dist.destroy_process_group()
PY
OMP_NUM_THREADS=1 venv/bin/python -m torch.distributed.run --nproc-per-node 2 --master-port 29641 ranks.py 2> log.txt || { tail -n 5 log.txt; exit 1; }
