#!/usr/bin/env bash
# FlopCounterMode counts no attention on the CPU, and nothing of a TransformerEncoderLayer in eval mode without gradients.
#
# Guess:  FlopCounterMode counts the products that a model makes, whatever it runs on, and eval() changes nothing about them.
# Truth:  scaled_dot_product_attention on the CPU is 0, forward and backward, and the same on torch's meta device all that it is: where
#         there are 4096 tokens of 256 numbers that is three quarters of a layer. In eval mode under no_grad a whole
#         nn.TransformerEncoderLayer is 0, since it runs there as one fused operator. So are a matrix times a vector and an LSTM. No
#         warning of any of it.
# Seen:   torch 2.13.0, CPU. Of attention it is known: issue 195460 of pytorch/pytorch, mended after 2.13.
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

print("torch", torch.__version__)
warnings.simplefilter("error")


def counted(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def attention(device):
    query = torch.ones(1, 4, 256, 64, device=device)
    return counted(lambda: functional.scaled_dot_product_attention(query, query, query))


def backward():
    query = torch.ones(1, 4, 256, 64, requires_grad=True)
    return counted(lambda: functional.scaled_dot_product_attention(query, query, query).sum().backward())


def layer(device, training):
    one = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True, device=device).train(training)
    with torch.set_grad_enabled(training):
        return counted(lambda: one(torch.ones(1, 256, 256, device=device)))


right = 2 * 2 * 4 * 256 * 256 * 64  # two products of 4 heads, a multiply-add is 2
matrix, vector = torch.ones(512, 512), torch.ones(512)
seen = {
    "attention on meta": attention("meta"),
    "attention on the CPU": attention("cpu"),
    "attention and its backward on the CPU": backward(),
    "encoder layer in training, meta": layer("meta", True),
    "encoder layer in training, CPU": layer("cpu", True),
    "encoder layer in eval mode, meta": layer("meta", False),
    "encoder layer in eval mode, CPU": layer("cpu", False),
    "matrix times column": counted(lambda: matrix @ vector[:, None]),
    "matrix times vector": counted(lambda: matrix @ vector),
    "LSTM": counted(lambda: nn.LSTM(64, 64)(torch.ones(16, 2, 64))),
}
for name, found in seen.items():
    print(f"{name:38} {found:12,}")
if seen["attention on meta"] != right or seen["matrix times column"] != 2 * 512 * 512 or seen["encoder layer in training, meta"] < right:
    sys.exit("CHANGED: what it is compared with does not hold")
nothing = ["attention on the CPU", "attention and its backward on the CPU", "encoder layer in eval mode, CPU", "matrix times vector", "LSTM"]
if any(seen[name] for name in nothing):
    sys.exit("CHANGED: counted: " + ", ".join(name for name in nothing if seen[name]))
print("HOLDS: on the CPU", right, "FLOPs of attention are 0")
PY
