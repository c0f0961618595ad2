#!/usr/bin/env bash
# LoRA on torch's own attention layers: on out_proj it never does anything, and on nn.TransformerEncoderLayer nothing in eval mode.
#
# Guess:  layers that LoraConfig(target_modules=...) finds are adapted: what it prints as trainable is trained, and what was
#         learned in training acts in eval mode.
# Truth:  torch's layers hand the weights of their parts to one function, and never call the parts. target_modules=["out_proj"]
#         of nn.MultiheadAttention counts trainable parameters that get no gradient and change no output, in training,
#         too. On linear1 and linear2 of nn.TransformerEncoderLayer, on "all-linear" and on "self_attn" LoRA acts in training; in
#         eval mode the layer takes its fast path, and the output is that of the model without LoRA, to the bit, with
#         gradients switched on or off: validation measures the base model. No error, no warning. Merged, it acts.
# Seen:   peft 0.21.2, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 peft==0.21.2 transformers==5.23.0 numpy==2.4.6
HF_HUB_OFFLINE=1 venv/bin/python - 2> warnings.txt <<'PY' || { tail -n 3 warnings.txt; exit 1; }
import sys

import peft
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

print("peft", peft.__version__, "torch", torch.__version__)
torch.manual_seed(0)
tokens = torch.randn(2, 5, 16)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


def encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def effect(make, targets, training, merged=False):
    """How far LoRA moves the output, as a share of it, and whether any of its weights gets a gradient."""
    config = LoraConfig(r=4, target_modules=targets, init_lora_weights=False)
    model = get_peft_model(make(), config).train(training)
    with model.disable_adapter(), torch.no_grad():
        plain = model(tokens)
    if merged:
        model.merge_adapter()
    output = model(tokens)
    if output.requires_grad:
        output.sum().backward()
    learns = any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad)
    return float((output.detach() - plain).norm() / plain.norm()), learns, model.get_nb_trainable_parameters()[0]


cases = {
    "MultiheadAttention, out_proj": (Attention, ["out_proj"]),
    "encoder, out_proj": (encoder, ["out_proj"]),
    "encoder, linear1 and linear2": (encoder, ["linear1", "linear2"]),
    "encoder, all-linear": (encoder, "all-linear"),
    "encoder, self_attn": (encoder, ["self_attn"]),
}
seen = {}
for name, (make, targets) in cases.items():
    for mode in ("train", "eval", "eval, merged"):
        moved, learns, count = effect(make, targets, mode == "train", "merged" in mode)
        seen[name, mode] = (moved, learns)
        print(f"{name:30} {mode:13} {count:5} trainable, output moved by {moved:.3f}, gradients {learns}")
acting = [name for name in cases if not name.endswith("out_proj")]
if any(seen[name, "train"][0] < 0.05 or not seen[name, "train"][1] for name in acting):
    sys.exit("CHANGED: what it is compared with does not hold: LoRA does not act in training")
if any(seen[name, "eval, merged"][0] < 0.05 for name in cases if name != "encoder, self_attn"):
    sys.exit("CHANGED: what it is compared with does not hold: LoRA that is merged does not act")
if any(seen[name, mode] != (0.0, False) for name in cases if name not in acting for mode in ("train", "eval")):
    sys.exit("CHANGED: LoRA on out_proj acts")
if any(seen[name, "eval"][0] != 0.0 for name in acting):
    sys.exit("CHANGED: LoRA acts in eval mode")
print("HOLDS: in eval mode the output is that of the model without LoRA, and on out_proj in training, too")
PY
