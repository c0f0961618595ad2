#!/usr/bin/env bash
# In a DataLoader's workers albumentations repeats itself: the same augmentations in every epoch and in every worker.
#
# Guess:  a pipeline without a seed draws anew each time, in workers and in the next epoch, too, since DataLoader gives each
#         worker and epoch other seeds for torch's, Python's and NumPy's random numbers.
# Truth:  a Compose has generators of its own, drawn when it is made. Workers that are forked start from copies of them: all
#         workers draw the same numbers, and since the copies end with the epoch, the next epoch draws them again. Whoever
#         trains 100 epochs sees one of them a hundred times. Seeds in worker_init_fn for torch, random and NumPy change
#         nothing; in the process itself (num_workers=0) every draw is another one, and so is it with
#         set_random_seed(torch.initial_seed() % 2**32) in worker_init_fn.
# Seen:   albumentations 2.0.8, torch 2.13.0, Linux (workers are forked)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export NO_ALBUMENTATIONS_UPDATE=1
python3 -m venv venv
venv/bin/pip install --quiet albumentations==2.0.8 numpy==2.4.6 opencv-python-headless==5.0.0.93 torch==2.13.0
cat > workers.py <<'PY'
import random
import sys
from importlib.metadata import version

import albumentations as A
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

print(*(f"{name} {version(name)}" for name in ("albumentations", "torch", "numpy")))


class Pictures(Dataset):
    """Eight equal pictures, each cut at a random place: a pixel's value says which column and row it is."""

    def __init__(self):
        self.picture = np.arange(64 * 64, dtype=np.float32).reshape(64, 64, 1)
        self.cut = A.Compose([A.RandomCrop(8, 8)])

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return int(self.cut(image=self.picture)["image"][0, 0, 0])


def others(worker):
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)


def own(worker):
    get_worker_info().dataset.cut.set_random_seed(torch.initial_seed() % 2**32)


def epochs(workers, begin=None):
    torch.manual_seed(0)
    loader = DataLoader(Pictures(), batch_size=None, num_workers=workers, worker_init_fn=begin)
    return [[int(place) for place in loader] for _ in range(3)]


seen = {"num_workers=0": epochs(0), "2 workers": epochs(2), "2 workers, other seeds": epochs(2, others), "2 workers, its seed": epochs(2, own)}
for name, three in seen.items():
    for epoch in three:
        print(f"{name:23} {epoch}")
distinct = {name: len({place for epoch in three for place in epoch}) for name, three in seen.items()}
print("different cuts of 24:", distinct)
if min(distinct["num_workers=0"], distinct["2 workers, its seed"]) < 20:
    sys.exit("CHANGED: what it is compared with does not hold")
if max(distinct["2 workers"], distinct["2 workers, other seeds"]) > 4:
    sys.exit("CHANGED: workers or epochs draw other numbers")
print(f"HOLDS: {distinct['2 workers']} different cuts of 24, {distinct['num_workers=0']} without workers")
PY
venv/bin/python workers.py
