#!/usr/bin/env bash
# set_epoch changes the order of a Hugging Face stream that nobody shuffles, and with it the numbers of its rows.
#
# Guess:  set_epoch(n) makes another order of what shuffle(seed=...) shuffles; a stream without shuffle, such as the one that numbers
#         clips for features stored by row, gives the same rows in the same order in every epoch.
# Truth:  in any epoch but 0 the shards (files) are drawn in an order of that epoch, shuffled or not. Rows numbered by
#         map(with_indices=True) get other numbers, so stored feature 7 is that of another clip, and a split by
#         row number holds out other clips than before: those of training. With four files epoch 1 keeps the order, by
#         chance. A stream of one file does not change.
# Seen:   datasets 5.2.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0
venv/bin/python - <<'PY'
import json
import pathlib
import sys

import datasets

print("datasets", datasets.__version__)
datasets.disable_progress_bars()
files = [f"clips{number}.jsonl" for number in range(4)]
for number, name in enumerate(files):
    lines = [json.dumps({"clip": 3 * number + n}) for n in range(3)]
    pathlib.Path(name).write_text("\n".join(lines) + "\n")


def orders(names):
    """The clips in the order of each of five epochs, and the held-out ones: those whose row number is divisible by 4."""
    stream = datasets.load_dataset("json", data_files=names, split="train", streaming=True)
    held_out = stream.filter(lambda row, number: number % 4 == 0, with_indices=True)
    seen, held = [], []
    for epoch in range(5):
        stream.set_epoch(epoch)
        held_out.set_epoch(epoch)
        seen.append([row["clip"] for row in stream])
        held.append([row["clip"] for row in held_out])
    return seen, held


seen, held = orders(files)
for epoch in range(5):
    print(f"epoch {epoch}: clips {seen[epoch]}, every fourth row {held[epoch]}")
alone, _ = orders(files[:1])
if seen[0] != list(range(12)) or any(sorted(order) != seen[0] for order in seen) or any(order != [0, 1, 2] for order in alone):
    sys.exit("CHANGED: what it is compared with does not hold")
if all(order == seen[0] for order in seen):
    sys.exit("CHANGED: the order is the same in every epoch")
if all(set(rows) == set(held[0]) for rows in held):
    sys.exit("CHANGED: the row numbers stay with their clips")
print("HOLDS: a stream that is not shuffled has another order in later epochs")
PY
