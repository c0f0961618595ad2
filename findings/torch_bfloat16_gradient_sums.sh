#!/usr/bin/env bash
# In a bfloat16 model on the CPU the gradients of embeddings, LayerNorm weights and w[i] stop growing at 256.
#
# Guess:  sums over a batch are made in float32 and rounded once, as torch.sum, matmul and Linear's bias do; equal
#         operations have equal gradients.
# Truth:  some add up in bfloat16, where 256 + 1 is 256. Of 4096 equal uses of a row nn.Embedding and w[i] give the gradient of
#         256, and w.index_select(0, i) and gather give 4096. LayerNorm's weight gets 256 from each thread, RMSNorm's 4096. index_add
#         into one dimension stops, into two it does not. Paddings in mode "replicate", grid_sample and
#         segment_reduce stop as well. A frequent token, or a norm over many tokens, has a sixteenth of its gradient or less.
#         Under autocast the weights are float32 and the sums are right.
# Seen:   torch 2.13.0 on the CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
print("torch", torch.__version__)
uses = 4096
row = torch.zeros(uses, dtype=torch.long)


def gradient(function, *shape, kind):
    weight = torch.ones(shape, dtype=kind, requires_grad=True)
    function(weight).sum().backward()
    return weight.grad.float().abs().max().item()


def signs(kind):
    """Rows of 1 and -1, which LayerNorm leaves as they are: the sum over their gradients is their number."""
    return torch.tensor([1.0, -1.0], dtype=kind).repeat(uses, 1)


def ones(kind):
    """An input of one number to a sample, and the weight of a layer that takes it."""
    return torch.ones(uses, 1, dtype=kind), torch.ones(1, 1, dtype=kind)


ways = {
    "nn.Embedding": lambda kind: gradient(lambda w: F.embedding(row, w), 2, 8, kind=kind),
    "w[i]": lambda kind: gradient(lambda w: w[row], 2, 8, kind=kind),
    "LayerNorm weight": lambda kind: gradient(lambda w: F.layer_norm(signs(kind), (2,), w) * signs(kind), 2, kind=kind),
    "pad, replicate": lambda kind: gradient(lambda w: F.pad(w, (uses - 1, 0), mode="replicate"), 1, 1, 1, kind=kind),
    "index_add, 1 dimension": lambda kind: torch.zeros(1, dtype=kind).index_add_(0, row, torch.ones(uses, dtype=kind)).item(),
    "w.index_select": lambda kind: gradient(lambda w: w.index_select(0, row), 2, 8, kind=kind),
    "w.gather": lambda kind: gradient(lambda w: w.gather(0, row), 1, kind=kind),
    "Linear bias": lambda kind: gradient(lambda w: F.linear(*ones(kind), w), 1, kind=kind),
    "RMSNorm weight": lambda kind: gradient(lambda w: F.rms_norm(signs(kind), (2,), w) * signs(kind), 2, kind=kind),
    "expand": lambda kind: gradient(lambda w: w.expand(uses), 1, kind=kind),
    "torch.sum": lambda kind: torch.ones(uses, dtype=kind).sum().item(),
}
seen = {}
for name, way in ways.items():
    seen[name] = (way(torch.bfloat16), way(torch.float32))
    print(f"{name:24} bfloat16 {seen[name][0]:6.0f}   float32 {seen[name][1]:6.0f}")
with torch.autocast("cpu", torch.bfloat16):
    cast = gradient(lambda w: F.embedding(row, w) @ torch.ones(8, 1), 2, 8, kind=torch.float32)
print("nn.Embedding under autocast", cast)
if any(abs(value - uses) > 1 for _, value in seen.values()) or cast != uses:
    sys.exit("CHANGED: what it is compared with does not hold")
stopping = [name for name, (value, _) in seen.items() if value < 1024]
if stopping != list(ways)[:5] or any(abs(seen[name][0] - uses) > 32 for name in list(ways)[5:]):
    sys.exit(f"CHANGED: those that stop are {stopping}")
print("HOLDS: five sums of 4096 ones stop at 256, six do not")
PY
