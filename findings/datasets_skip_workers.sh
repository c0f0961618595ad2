#!/usr/bin/env bash
# take() and skip() of a streamed dataset overlap where the loaders have other numbers of workers.
#
# Guess:  validation = stream.take(10) and training = stream.skip(10) have nothing in common, in whatever way each is read: they
#         are the first ten examples and the rest.
# Truth:  that holds for one process. In a DataLoader each worker takes or skips its share of the ten from its own shards, so
#         which examples they are depends on the number of workers. With validation read in the main process and training by
#         four workers, seven of the ten are trained on, and seven others are in neither. As many workers on both sides, or a
#         split by shards, have no overlap; split_dataset_by_node divides in the same way. The documentation's own split of a
#         stream is by take and skip.
# Seen:   datasets 5.2.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 torch==2.13.0
venv/bin/python - <<'PY'
import sys

import datasets
import torch
from torch.utils.data import DataLoader

if __name__ == "__main__":
    print("datasets", datasets.__version__, "torch", torch.__version__)
    stream = datasets.Dataset.from_dict({"number": list(range(100))}).to_iterable_dataset(num_shards=4)

    def read(part, workers):
        return {row["number"] for row in DataLoader(part, batch_size=None, num_workers=workers)}

    seen = {}
    for left in (0, 2, 4):
        for right in (0, 2, 4):
            taken, rest = read(stream.take(10), left), read(stream.skip(10), right)
            seen[left, right] = len(taken & rest), 100 - len(taken | rest)
            print(f"take(10) by {left} workers: {sorted(taken)}, skip(10) by {right}: {len(rest)} rows, in both: {sorted(taken & rest)}")
            if (len(taken), len(rest)) != (10, 90):
                sys.exit("CHANGED: the numbers of examples depend on the workers")
    if any(seen[same, same] != (0, 0) for same in (0, 2, 4)):
        sys.exit("CHANGED: with as many workers they overlap, too")
    if seen[0, 4] != (7, 7) or seen[0, 2] != (5, 5) or seen[4, 2] != (4, 4):
        sys.exit(f"CHANGED: in both and in neither: {seen}")
    print("HOLDS: 7 of 10 examples for validation are trained on")
PY
