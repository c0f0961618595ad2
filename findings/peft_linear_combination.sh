#!/usr/bin/env bash
# PEFT's "linear" combination of two LoRA adapters is not the sum of what they do, and with weights 1 and -1 not the difference.
#
# Guess:  add_weighted_adapter(["style", "motion"], [1, 1], "both", combination_type="linear") acts as both adapters switched on
#         together.
# Truth:  it adds the factors: (A1 + A2) and (B1 + B2), whose product has the cross terms B1 A2 and B2 A1, which belong to
#         nothing. They are as large as the sum itself; with weights 1 and -1, meant to take one adapter out of another, as large
#         as the difference. combination_type="cat" is exact, as are both adapters switched on.
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

print("peft", peft.__version__, "torch", torch.__version__)
torch.manual_seed(0)
config = LoraConfig(r=4, lora_alpha=4, target_modules=["0"], init_lora_weights=False)
model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(64, 64)), config, adapter_name="style")
model.add_adapter("motion", config)
inputs = torch.randn(256, 64)


@torch.no_grad()
def effect(adapters):
    with model.disable_adapter():
        plain = model(inputs)
    model.base_model.set_adapter(adapters)
    return model(inputs) - plain


def error(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


style, motion = effect("style"), effect("motion")
seen = {"both switched on": error(effect(["style", "motion"]), style + motion)}
for weights in ([1.0, 1.0], [0.5, 0.5], [1.0, -1.0]):
    wanted = weights[0] * style + weights[1] * motion
    for kind in ("cat", "linear"):
        name = f"{kind} {weights}"
        model.add_weighted_adapter(["style", "motion"], weights, name.replace(".", "_"), combination_type=kind)
        seen[name] = error(effect(name.replace(".", "_")), wanted)
for name, value in seen.items():
    print(f"{name:20} error {value:.3f} of the sum")
if seen["both switched on"] > 1e-4 or any(value > 1e-4 for name, value in seen.items() if name.startswith("cat")):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(value < 0.5 for name, value in seen.items() if name.startswith("linear")):
    sys.exit("CHANGED: linear is near the sum")
print("HOLDS: linear is no sum")
PY
