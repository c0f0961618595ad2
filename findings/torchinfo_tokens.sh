#!/usr/bin/env bash
# torchinfo counts a linear layer once for a sample, however many tokens it has, and attention not at all.
#
# Guess:  total_mult_adds of torchinfo's summary is what the model computes on the input that it is given: a Linear 256 x 256 on 1024
#         tokens is 67 million, and twice as much on twice as many tokens.
# Truth:  the second axis is not looked at: it is 65 792, its parameters, on one token as on a thousand, and a transformer's summary is
#         a thousandth and less of what it computes. nn.MultiheadAttention is 0. thop counts the linear layers right and
#         nn.MultiheadAttention as 0, too. A convolution is right in both.
# Seen:   torchinfo 1.8.0, thop 0.1.1.post2209072238, torch 2.13.0. Known: issue 77 of TylerYep/torchinfo, mended in its repository,
#         in no release.
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torchinfo==1.8.0 thop==0.1.1.post2209072238 torch==2.13.0 numpy==2.4.6
venv/bin/python -W ignore::UserWarning -W ignore::DeprecationWarning - <<'PY'
import sys
from importlib.metadata import version

import torch
import torchinfo
from thop import profile
from torch import nn

print("torchinfo", torchinfo.__version__, "thop", version("thop"), "torch", torch.__version__)
width = 256


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)

    def forward(self, tokens):
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


def counted(model, *shape):
    given = torch.ones(shape)
    return torchinfo.summary(model, input_data=given, verbose=0).total_mult_adds, int(profile(model, (given,), verbose=False)[0])


rows = {
    "linear, 1 token": (nn.Linear(width, width), (1, width), width * width),
    "linear, 1 token of a row": (nn.Linear(width, width), (1, 1, width), width * width),
    "linear, 1024 tokens": (nn.Linear(width, width), (1, 1024, width), 1024 * width * width),
    "linear, 8 frames of 1024": (nn.Linear(width, width), (1, 8, 1024, width), 8 * 1024 * width * width),
    "attention, 1024 tokens": (Attention(), (1, 1024, width), 1024 * 4 * width * width + 2 * 1024 * 1024 * width),
    "convolution, 32 x 32": (nn.Conv2d(width, width, 3, padding=1, bias=False), (1, width, 32, 32), 1024 * 9 * width * width),
}
seen = {}
for name, (model, shape, right) in rows.items():
    seen[name] = counted(model, *shape)
    print(f"{name:25} computes {right:13,}  torchinfo {seen[name][0]:13,}  thop {seen[name][1]:13,}")
linear = [seen[name][0] for name in rows if name.startswith("linear")]
if seen["convolution, 32 x 32"] != (1024 * 9 * width * width,) * 2 or seen["linear, 1024 tokens"][1] != 1024 * width * width:
    sys.exit("CHANGED: what it is compared with does not hold")
if set(linear) != {width * width + width} or seen["attention, 1024 tokens"] != (0, 0):
    sys.exit("CHANGED: tokens or attention are counted")
print("HOLDS: a linear layer on 1 and on 8192 tokens is", linear[0])
PY
