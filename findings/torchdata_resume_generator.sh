#!/usr/bin/env bash
# After a resume in the middle of an epoch, StatefulDataLoader shuffles the following epochs otherwise than without one.
#
# Guess:  load_state_dict goes on as if nothing had happened: the rest of this epoch, then the epochs that would have come.
# Truth:  with a generator of one's own (shuffle=True, generator=...) and num_workers=0 the rest of the epoch is right and the
#         next ones are other orders, also where the state was saved between two epochs. With workers, or with
#         the global seed instead of a generator, all epochs are as they would have been. A test that compares the rest of
#         one epoch passes.
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

warnings.filterwarnings("ignore")
import torchdata
from torchdata.stateful_dataloader import StatefulDataLoader


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return index


def loader(own, workers):
    """The same loader each time: seeded by a generator of its own, or by the global one."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(0) if own else None
    return StatefulDataLoader(Numbers(), batch_size=4, shuffle=True, generator=generator, num_workers=workers)


def epoch(batches):
    return [index for batch in batches for index in batch.tolist()]


def resumed(own, workers):
    """Rest of the first epoch, and the second and third, each as without a break?"""
    undisturbed = loader(own, workers)
    first, second, third = epoch(undisturbed), epoch(undisturbed), epoch(undisturbed)
    broken = loader(own, workers)
    batches = iter(broken)
    begun = next(batches).tolist() + next(batches).tolist()
    state = broken.state_dict()
    again = loader(own, workers)
    again.load_state_dict(state)
    return begun + epoch(again) == first, epoch(again) == second, epoch(again) == third


if __name__ == "__main__":
    print("torchdata", torchdata.__version__, "torch", torch.__version__)
    seen = {(own, workers): resumed(own, workers) for own in (True, False) for workers in (0, 2)}
    for (own, workers), (rest, second, third) in seen.items():
        of = "own generator" if own else "global seed"
        print(f"{of:14} {workers} workers: rest as without a break {rest}, second epoch {second}, third {third}")
    if not all(all(seen[key]) for key in seen if key != (True, 0)) or not seen[True, 0][0]:
        sys.exit("CHANGED: what it is compared with does not hold")
    if any(seen[True, 0][1:]):
        sys.exit("CHANGED: the following epochs are as without a break")
    print("HOLDS: with an own generator and no workers the rest is right and the following epochs are not")
PY
venv/bin/python resume.py 2> errors.txt || { cat errors.txt >&2; exit 1; }
