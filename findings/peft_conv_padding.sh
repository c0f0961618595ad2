#!/usr/bin/env bash
# LoRA on a convolution that pads by reflecting, repeating or wrapping around pads with zeros, and merged it is another model.
#
# Guess:  LoRA on a convolution has the convolution's padding, as it has its stride and padding size; merge_adapter() changes
#         nothing but the last digits; what does not fit is refused, as groups are ("Merging is not supported").
# Truth:  the padding_mode is left out: the added branch sees zeros around the picture where the layer sees "reflect",
#         "replicate" or "circular", which video autoencoders and models of seamless textures have. So it is trained with
#         edges that the layer hides from it, and merged into the weights its effect at the edges is another: of small
#         pictures the difference is 0.2 to 0.8 of what LoRA does. With zeros merging is exact. No warning.
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
kinds = {"conv1d": (nn.Conv1d, (20,)), "conv2d": (nn.Conv2d, (9, 9)), "conv3d": (nn.Conv3d, (5, 9, 9))}


@torch.no_grad()
def error(kind, mode, dora):
    """The largest and the mean change that merging makes, as shares of what LoRA does; the same away from the edges."""
    make, size = kinds[kind]
    inputs = torch.randn(2, 8, *size)
    config = LoraConfig(r=4, target_modules=["0"], init_lora_weights=False, use_dora=dora)
    model = get_peft_model(nn.Sequential(make(8, 8, 3, padding=1, padding_mode=mode)), config).eval()
    with model.disable_adapter():
        plain = model(inputs)
    before = model(inputs)
    model.merge_adapter()
    apart = model(inputs) - before
    inner = (..., *[slice(1, -1)] * len(size))
    return float(apart.norm() / (before - plain).norm()), float(apart[inner].norm() / (before - plain)[inner].norm())


seen = {}
for kind in kinds:
    for mode in ("zeros", "reflect", "replicate", "circular"):
        for dora in (False, True):
            seen[kind, mode, dora] = error(kind, mode, dora)
            whole, inner = seen[kind, mode, dora]
            print(f"{kind} {mode:9} {'DoRA' if dora else 'LoRA'}: merging moves it by {whole:.4f}, away from the edges by {inner:.4f}")
if any(inner > 1e-4 or (mode == "zeros" and whole > 1e-4) for (_, mode, _), (whole, inner) in seen.items()):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(whole < 0.05 for (_, mode, _), (whole, _) in seen.items() if mode != "zeros"):
    sys.exit("CHANGED: the padding is that of the layer")
print("HOLDS: only with zeros around it is a merged convolution the one that was trained")
PY
