#!/usr/bin/env bash
# torch.distributed.checkpoint loads a new optimizer's state_dict() without the moments, and says nothing.
#
# Guess:  dcp.save({"optimizer": optimizer.state_dict()}) and dcp.load into the same of a new run give the optimizer back, as
#         torch.save and torch.load do, or the load stops.
# Truth:  load fills what the given dictionary has. That of an AdamW before its first step has rates but no moments: weights,
#         rate and the run's step come back, the moments of the file are left out without an error or a warning, and the
#         next step, counted as the first, is another one. Of get_optimizer_state_dict they are loaded.
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > resume.py <<'PY'
import sys
import warnings

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

print("torch", torch.__version__)
warnings.simplefilter("ignore")


def make():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2)


def train(model, optimizer, scale):
    optimizer.zero_grad()
    (scale * model(torch.ones(2, 4)).square().sum()).backward()
    optimizer.step()


def resumed(how):
    """Of a run resumed after five steps: is the rest right, tensors with moments, warnings, how far the sixth step is off."""
    model, optimizer = make()
    for _ in range(5):
        train(model, optimizer, 10.0)
    optimizer.param_groups[0]["lr"] = 5e-3
    dotted = how == "get_optimizer_state_dict"
    saved = get_optimizer_state_dict(model, optimizer) if dotted else optimizer.state_dict()
    dcp.save({"model": model.state_dict(), "optimizer": saved, "step": 5}, checkpoint_id=how, no_dist=True)
    other, fresh = make()
    given = get_optimizer_state_dict(other, fresh) if dotted else fresh.state_dict()
    state = {"model": other.state_dict(), "optimizer": given, "step": 0}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        dcp.load(state, checkpoint_id=how, no_dist=True)
    if dotted:
        set_optimizer_state_dict(other, fresh, state["optimizer"])
    else:
        fresh.load_state_dict(state["optimizer"])
    about = [entry for entry in warned if "torch.distributed is disabled" not in str(entry.message)]
    moments = sum("exp_avg" in entry for entry in fresh.state.values())
    back = state["step"], fresh.param_groups[0]["lr"], torch.equal(model.weight, other.weight)
    before = model.weight.detach().clone()
    train(model, optimizer, 1.0)
    train(other, fresh, 1.0)
    off = float((other.weight - model.weight).norm() / (model.weight - before).norm())
    print(f"{how:25} step, rate, weights alike {back}; moments of {moments}; {len(about)} warnings about it; next step off by {off:.3f} of itself")
    return back == (5, 5e-3, True), moments, len(about), off


right, found = resumed("get_optimizer_state_dict"), resumed("optimizer.state_dict()")
if right != (True, 2, 0, 0.0) or not found[0]:
    sys.exit("CHANGED: what it is compared with does not hold")
_, moments, warnings_seen, off = found
if moments or warnings_seen or off < 0.1:
    sys.exit("CHANGED: the moments are loaded, or missed aloud")
print(f"HOLDS: no moments, and the next step is off by {off:.2f} of itself")
PY
venv/bin/python resume.py
