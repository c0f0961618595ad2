#!/usr/bin/env bash
# `.item()` of the mean, the norm or a NaN check of a sharded weight is that of the rank's own part.
#
# Guess:  a DTensor stands for the whole tensor: weight.norm().item() is the same number on all ranks, and bool(weight.isnan().any())
#         finds a NaN wherever it is.
# Truth:  sums, means, norms, max() and any() of a weight of fully_shard are left to be put together, and item(), float() and bool()
#         give what the rank has so far: another number on each, none of them right but the one that has the largest. A NaN in
#         the part of rank 1 is False on rank 0: one rank skips the step and the other does not. std() and the norm from
#         clip_grad_norm_ are whole. full_tensor() before item() is right for all.
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
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

dist.init_process_group("gloo")
warnings.simplefilter("always")
torch.manual_seed(0)
layer = nn.Linear(8, 8, bias=False)
layer.weight.data[-1, -1] = 3.0
whole = layer.weight.detach().clone()
fully_shard(layer, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    weight = layer.weight.detach()
    ways = {
        "mean": torch.mean, "sum": torch.sum, "norm": torch.linalg.vector_norm, "max": torch.max, "std": torch.std,
        "mean of squares": lambda tensor: tensor.square().mean(), "any above 2": lambda tensor: (tensor > 2).any(),
    }
    seen = {name: (way(weight).item(), way(weight).full_tensor().item(), way(whole).item()) for name, way in ways.items()}
    broken = weight.clone()
    if dist.get_rank() == 1:
        broken.to_local()[0, 0] = float("nan")
    seen["any NaN"] = (bool(broken.isnan().any()), bool(broken.isnan().any().full_tensor()), True)
    layer(torch.ones(2, 8)).square().mean().backward()
    total = nn.utils.clip_grad_norm_(layer.parameters(), 1e9)
    seen["clip_grad_norm_"] = (total.item(), total.full_tensor().item(), total.full_tensor().item())
about = [str(one.message) for one in said if "artial" in str(one.message) or "DTensor" in str(one.message)]
everywhere = [None] * dist.get_world_size()
dist.all_gather_object(everywhere, seen)
if dist.get_rank() == 0:
    print("torch", torch.__version__)
    wrong, right = set(), set()
    for name, (_, full, wanted) in seen.items():
        items = [found[name][0] for found in everywhere]
        print(f"{name:16} item() on the ranks {items}, full_tensor() {full}, in one process {wanted}")
        if abs(full - wanted) > 1e-5:
            sys.exit("CHANGED: what it is compared with does not hold")
        (right if all(abs(item - wanted) < 1e-5 for item in items) else wrong).add(name)
    print("warnings about it:", about)
    if wrong != {"mean", "sum", "norm", "max", "mean of squares", "any above 2", "any NaN"} or about:
        sys.exit(f"CHANGED: wrong are {sorted(wrong)}")
    print("HOLDS: item() is the rank's own for", ", ".join(sorted(wrong)))
dist.destroy_process_group()
PY
OMP_NUM_THREADS=1 venv/bin/python -m torch.distributed.run --nproc-per-node 2 --master-port 29642 ranks.py 2> log.txt || { tail -n 5 log.txt; exit 1; }
