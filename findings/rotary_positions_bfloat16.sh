#!/usr/bin/env bash
# rotary-embedding-torch counts positions in the type of the queries: in bfloat16 positions after 256 are shared.
#
# Guess:  rotate_queries_or_keys of bfloat16 queries, as they come out of a Linear under autocast, is that of float32 rounded: angles
#         of rotary positions are computed in float32, and each place has one of its own.
# Truth:  the positions are torch.arange in the queries' type. Bfloat16 has whole numbers up to 256: from there two neighbours
#         share a position, from 512 four, from 1024 eight. Of a clip of 1024 tokens the result is off by 0.23 of its length,
#         of 4096 by half, where rounding alone is 0.002, and neighbouring tokens cannot be told apart. Float16 is as bad from
#         2048 on. rotate_queries_or_keys(queries.float()) is right.
# Seen:   rotary-embedding-torch 0.9.1, torch 2.13.0, CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet rotary-embedding-torch==0.9.1 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata
import sys
import warnings

import torch
from rotary_embedding_torch import RotaryEmbedding

warnings.simplefilter("error")
print("rotary-embedding-torch", importlib.metadata.version("rotary-embedding-torch"), "torch", torch.__version__)


def rotated(queries):
    return RotaryEmbedding(dim=64).rotate_queries_or_keys(queries)


def off(length, kind):
    """How far the rotation in a type is from that of the same rounded numbers in float32, of their length."""
    queries = torch.randn(1, 1, length, 64, generator=torch.Generator().manual_seed(0)).to(kind)
    exact = rotated(queries.float())
    return float((rotated(queries).float() - exact).norm() / exact.norm())


seen = {kind: {length: off(length, kind) for length in (256, 512, 1024, 4096)} for kind in (torch.bfloat16, torch.float16)}
for kind, found in seen.items():
    print(kind, "off by", ", ".join(f"{error:.4f} of {length} tokens" for length, error in found.items()))


def shared(kind):
    """Of 1024 equal queries, how many are rotated as their neighbour is."""
    places = rotated(torch.ones(1, 1, 1024, 64, dtype=kind))[0, 0]
    return int((places[1:] == places[:-1]).all(dim=-1).sum())


same = {kind: shared(kind) for kind in (torch.float32, torch.bfloat16)}
print("neighbours with one position:", same)
with torch.autocast("cpu", torch.bfloat16):
    queries = torch.nn.Linear(64, 64)(torch.ones(1, 1, 1024, 64))
    places = rotated(queries)[0, 0]
print("under autocast:", queries.dtype, int((places[1:] == places[:-1]).all(dim=-1).sum()), "neighbours with one position")
if same[torch.float32] or seen[torch.bfloat16][256] > 0.01 or seen[torch.float16][1024] > 0.01:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen[torch.bfloat16][1024] < 0.1 or same[torch.bfloat16] < 300 or seen[torch.float16][4096] < 0.05:
    sys.exit("CHANGED: positions are counted in another type than the queries'")
print(f"HOLDS: {same[torch.bfloat16]} of 1023 tokens have the position of the one before")
PY
