#!/usr/bin/env bash
# A resumed torchdata.nodes pipeline over torch's RandomSampler goes on in the order of another epoch.
#
# Guess:  Loader.load_state_dict gives the rest of the epoch, as it does in a StatefulDataLoader: every sample once. The state has
#         the sampler's in it, and SamplerWrapper takes any sampler.
# Truth:  the wrapper draws a new order and leaves out as many as were seen. In a new process with
#         the same seed that is the first epoch's order: interrupted in the second one, some samples come twice and others
#         never, and the next epoch is the second once more. In the first epoch it is right, which a test would try.
#         With a generator of the sampler's own, and with torchdata's own RandomSampler, it is the same. No warning. A sampler
#         whose order is of its epoch (DistributedSampler, whose set_epoch the wrapper calls) is right.
# Seen:   torchdata 0.11.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torchdata==0.11.0 torch==2.13.0 numpy==2.4.6
cat > resume.py <<'PY'
import sys
import warnings

import torch
from torch.utils.data import DistributedSampler, RandomSampler
from torchdata.nodes import Loader, SamplerWrapper

warnings.filterwarnings("ignore", category=DeprecationWarning)
import torchdata
from torchdata.stateful_dataloader.sampler import RandomSampler as Stateful

CLIPS, SEEN = 20, 8


def pipeline(name):
    """What a job makes at its start, each time with the same seed."""
    torch.manual_seed(0)
    samplers = {
        "torch, global seed": lambda: RandomSampler(range(CLIPS)),
        "torch, own generator": lambda: RandomSampler(range(CLIPS), generator=torch.Generator().manual_seed(0)),
        "torchdata": lambda: Stateful(range(CLIPS), generator=torch.Generator().manual_seed(0)),
        "distributed": lambda: DistributedSampler(range(CLIPS), num_replicas=1, rank=0, seed=0),
    }
    return Loader(SamplerWrapper(samplers[name]()))


def interrupted(name, epoch):
    """Samples that come twice and never in the interrupted epoch, and whether the next one is as without a break."""
    loader = pipeline(name)
    for _ in range(epoch):
        list(loader)
    samples = iter(loader)
    begun = [next(samples) for _ in range(SEEN)]
    state = loader.state_dict()
    list(samples)
    following = list(loader)
    again = pipeline(name)
    again.load_state_dict(state)
    whole = begun + list(again)
    return len(whole) - len(set(whole)), CLIPS - len(set(whole)), list(again) == following


print("torchdata", torchdata.__version__, "torch", torch.__version__)
seen = {}
for name in ("torch, global seed", "torch, own generator", "torchdata", "distributed"):
    for epoch in (0, 1):
        twice, never, follows = seen[name, epoch] = interrupted(name, epoch)
        print(f"{name:20} epoch {epoch}: {twice} come twice, {never} never; the next epoch is as without a break: {follows}")
if seen.pop(("distributed", 0)) != (0, 0, True) or seen.pop(("distributed", 1)) != (0, 0, True):
    sys.exit("CHANGED: what it is compared with does not hold")
if any((twice, never, follows) != (0, 0, True) for (_, epoch), (twice, never, follows) in seen.items() if epoch == 0):
    sys.exit("CHANGED: the first epoch goes on otherwise")
if any(not twice or not never or follows for (_, epoch), (twice, never, follows) in seen.items() if epoch == 1):
    sys.exit("CHANGED: the second epoch goes on in its own order")
print("HOLDS: resumed in the second epoch, samples come twice and others never")
PY
venv/bin/python resume.py
