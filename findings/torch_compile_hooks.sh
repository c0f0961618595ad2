#!/usr/bin/env bash
# A hook on a layer of a compiled model never runs if it was registered after the first call.
#
# Guess:  register_forward_hook works as in the model that is not compiled, or compiles it anew, as a changed attribute does.
# Truth:  torch.compile does not look at the hooks of inner layers again. One that was registered after the first call never runs:
#         nothing is recorded, and an output that it should change is not. No warning. (Removal is seen: one that was
#         removed acts no longer.) torch._dynamo.config.skip_nnmodule_hook_guards = False is as one would guess.
# Seen:   torch 2.13.0
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

print("torch", torch.__version__)
inputs = torch.ones(2, 4)


def zero(module, args, output):
    return output * 0


@torch.no_grad()
def changes(compiled):
    """Whether a hook that was added changes the output, and whether one that was removed does."""
    found = []
    for first in (False, True):
        torch._dynamo.reset()
        torch.manual_seed(0)
        plain = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4, bias=False))
        model = torch.compile(plain, backend="eager") if compiled else plain
        without = plain(inputs).clone()
        handle = plain[0].register_forward_hook(zero) if first else None
        model(inputs)
        if first:
            handle.remove()
        else:
            plain[0].register_forward_hook(zero)
        found.append(not torch.equal(model(inputs), without))
    return {"added later": found[0], "removed": found[1]}


with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    seen = {"not compiled": changes(False), "compiled": changes(True)}
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    seen["with guards"] = changes(True)
about = [str(one.message) for one in said if "hook" in str(one.message)]
for name, found in seen.items():
    print(f"{name:13} the hook acts:", found)
print("warnings about it:", about)
wanted = {"added later": True, "removed": False}
if seen["not compiled"] != wanted or seen["with guards"] != wanted:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["compiled"] != {"added later": False, "removed": False} or about:
    sys.exit(f"CHANGED: {seen['compiled']}, with warnings {about}")
print("HOLDS: a hook that is added later is ignored")
PY
