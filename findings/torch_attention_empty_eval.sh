#!/usr/bin/env bash
# nn.MultiheadAttention gives 0 for a sample that is all padding while training, and NaN in eval mode.
#
# Guess:  eval() changes dropout only: a sample without a single valid token, such as an empty caption, gives the same
#         before and after it.
# Truth:  in train mode, and in eval mode with gradients, attention over nothing is 0. In eval mode without gradients another
#         implementation runs, whose softmax over nothing is NaN. So training and its validation loss with gradients are
#         fine, and sampling is not; in nn.TransformerEncoderLayer it is the same. F.scaled_dot_product_attention gives 0.
#         `torch.backends.mha.set_fastpath_enabled(False)` gives the zeros everywhere.
# Seen:   torch 2.13.0 on the CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY' 2> /dev/null
import sys

import torch

print("torch", torch.__version__)
torch.manual_seed(0)
attention = torch.nn.MultiheadAttention(16, 2, batch_first=True)
layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
tokens = torch.randn(2, 6, 16)
padding = torch.zeros(2, 6, dtype=torch.bool)
padding[1] = True  # the second caption is empty
calls = {
    "MultiheadAttention": (attention, lambda: attention(tokens, tokens, tokens, key_padding_mask=padding, need_weights=False)[0]),
    "TransformerEncoderLayer": (layer, lambda: layer(tokens, src_key_padding_mask=padding)),
}


def empty_is_nan(name, training, gradients, fast=True):
    module, call = calls[name]
    module.train(training)
    torch.backends.mha.set_fastpath_enabled(fast)
    with torch.set_grad_enabled(gradients):
        given = call()
    assert given[0].isfinite().all(), 'the sample with tokens'
    return bool(given[1].isnan().any())


ways = {
    "train": (True, True),
    "eval, with gradients": (False, True),
    "eval, no_grad": (False, False),
    "eval, no_grad, fast path off": (False, False, False),
}
seen = {(name, way): empty_is_nan(name, *args) for name in calls for way, args in ways.items()}
for (name, way), nan in seen.items():
    print(f"{name:24} {way:30} {'NaN' if nan else 'finite'}")
if any(seen[name, way] for name in calls for way in ("train", "eval, with gradients", "eval, no_grad, fast path off")):
    sys.exit("CHANGED: what it is compared with does not hold")
if not all(seen[name, "eval, no_grad"] for name in calls):
    sys.exit("CHANGED: an empty sample is finite in eval mode")
print("HOLDS: an empty sample is finite in training and NaN in eval mode without gradients")
PY
