#!/usr/bin/env bash
# A run that accelerate resumes with its seedable sampler trains on the orders of the first epochs again.
#
# Guess:  with use_seedable_sampler=True, which the documentation recommends for reproducible runs, load_state goes on with
#         the order that the next epoch would have had.
# Truth:  that sampler's order is a function of the seed and the number of epochs begun, which prepared loaders count from 0
#         in each process, and which load_state does not set. Resumed after two epochs, the third and fourth are the first and
#         second once more; resumed in the middle of an epoch, skip_first_batches skips those of another order: some clips
#         come twice in that epoch, others never. A run that is stopped after every epoch sees one order for ever.
#         set_epoch(n) of the prepared loader is the remedy; between epochs the default sampler goes on right.
# Seen:   accelerate 1.15.0, torch 2.13.0
# Known:  https://github.com/huggingface/accelerate/issues/3996
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet accelerate==1.15.0 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import accelerate
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from torch.utils.data import DataLoader

print("accelerate", accelerate.__version__, "torch", torch.__version__)


def train(seedable, folder, resume=False, remedy=False, batches=0):
    """The orders of the epochs: 0 to 3, saved after epoch 1 and after one batch of epoch 2; or resumed, from there on."""
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=seedable))
    set_seed(0)
    loader = DataLoader(torch.arange(8), batch_size=2, shuffle=True)
    loader, model = accelerator.prepare(loader, torch.nn.Linear(1, 1))
    if resume:
        accelerator.load_state(f"{folder}-{batches}")
    seen = {}
    for epoch in range(2 if resume else 0, 4):
        if remedy:
            loader.set_epoch(epoch)
        seen[epoch] = []
        skip = batches if resume and epoch == 2 else 0
        for number, batch in enumerate(accelerator.skip_first_batches(loader, skip) if skip else loader, skip + 1):
            seen[epoch] += batch.tolist()
            if not resume and (epoch, number) == (2, 2):
                accelerator.save_state(f"{folder}-2")
        if not resume and epoch == 1:
            accelerator.save_state(f"{folder}-0")
    return seen


seen = {}
for seedable in (False, True):
    whole = train(seedable, f"state-{seedable}")
    again = train(seedable, f"state-{seedable}", resume=True)
    print(f"use_seedable_sampler={seedable}: {whole}, resumed after two epochs {again}")
    seen[seedable] = whole, again
remedy = train(True, "state-True", resume=True, remedy=True)
middle = train(True, "state-True", resume=True, batches=2)
whole = seen[True][0]
twice = set(whole[2][:4]) & set(middle[2])
print(f"resumed after half of epoch 2: {whole[2][:4]} before, {middle[2]} afterwards, twice {sorted(twice)}")
print(f"with set_epoch: {remedy}")
if len({str(order) for order in whole.values()}) != 4:
    sys.exit("CHANGED: orders of one run are equal")
if seen[False][1] != {epoch: seen[False][0][epoch] for epoch in (2, 3)} or remedy != {epoch: whole[epoch] for epoch in (2, 3)}:
    sys.exit("CHANGED: what it is compared with does not hold")
if [seen[True][1][2], seen[True][1][3]] != [whole[0], whole[1]] or not twice:
    sys.exit("CHANGED: the orders go on")
print("HOLDS: the orders of the first epochs come again")
PY
