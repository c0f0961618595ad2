#!/usr/bin/env bash
# Merging a LoRA that sits on one of two tied layers changes the other one, too.
#
# Guess:  merge_and_unload() gives a model that does what the adapted one did, up to rounding, or refuses.
# Truth:  of a model of one's own whose head shares the weight of its table of words, with LoRA on either of them, the merge adds
#         to the shared weight, so that both change: the output moves by 0.8 to 4 times what LoRA does, with safe_merge=True,
#         too, and without a warning. Two weights of their own, or LoRA on another layer, are merged exactly.
# Seen:   peft 0.21.2, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 peft==0.21.2 transformers==5.23.0 numpy==2.4.6
HF_HUB_OFFLINE=1 venv/bin/python - <<'PY'
import sys
import warnings

import peft
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

print("peft", peft.__version__, "torch", torch.__version__)
torch.manual_seed(0)
words = torch.randint(0, 64, (2, 10))


class Small(nn.Module):
    """Words to scores of words through one table, or two."""

    def __init__(self, tied):
        super().__init__()
        self.words, self.body, self.head = nn.Embedding(64, 32), nn.Linear(32, 32), nn.Linear(32, 64, bias=False)
        if tied:
            self.head.weight = self.words.weight

    def forward(self, inputs):
        return self.head(torch.tanh(self.body(self.words(inputs))))


@torch.no_grad()
def moved(tied, target, safe):
    """How far merging moves the output, as a share of what LoRA does, and the warnings."""
    model = get_peft_model(Small(tied), LoraConfig(r=4, target_modules=[target], init_lora_weights=False)).eval()
    with model.disable_adapter():
        plain = model(words)
    before = model(words)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        after = model.merge_and_unload(safe_merge=safe)(words)
    share = float((after - before).norm() / (before - plain).norm())
    print(f"{'tied' if tied else 'apart':5} LoRA on {target:5} safe_merge={safe!s:5}: moved by {share:.4f}, {len(warned)} warnings")
    return share


seen = {(tied, target, safe): moved(tied, target, safe) for tied in (False, True) for target in ("words", "body", "head") for safe in (False, True)}
tied_ones = [share for (tied, target, _), share in seen.items() if tied and target != "body"]
if any(share > 1e-3 for (tied, target, _), share in seen.items() if not tied or target == "body"):
    sys.exit("CHANGED: what it is compared with does not hold")
if min(tied_ones) < 0.1:
    sys.exit("CHANGED: the other layer stays as it was")
print("HOLDS: merging moves the output by", round(min(tied_ones), 2), "or more of what LoRA does")
PY
