#!/usr/bin/env bash
# A resumed stream of Hugging Face's datasets: all later epochs are the rest of the first, or the state is not used at all.
#
# Guess:  load_state_dict puts a stream where the saved one was, in its epoch, too, which is in the state; the pass that follows is
#         the rest, and the passes after it are whole.
# Truth:  only where set_epoch is called before each pass. Without it each later pass begins at the loaded place again: a job that
#         resumed in the last tenth trains on that tenth for the rest of its life, and one that was saved at the end of a
#         pass gets empty epochs. And a state saved in epoch 1 or later is ignored by a stream that stands at epoch 0, as each
#         new one does: it begins the first epoch again. No warning, no error.
# Seen:   datasets 5.2.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0
venv/bin/python - <<'PY'
import sys

import datasets

print("datasets", datasets.__version__)
CLIPS, SEEN = 10, 8


def clips():
    yield from ({"clip": n} for n in range(CLIPS))


def stream():
    return datasets.IterableDataset.from_generator(clips)


def saved(seen, epoch=0):
    """The state of a stream that gave so many clips of this epoch, and those that it would have given next."""
    first = stream()
    first.set_epoch(epoch)
    rows = iter(first)
    for _ in range(seen):
        next(rows)
    state = first.state_dict()
    return state, [row["clip"] for row in rows]


def passes(state, epochs=(None, None, None)):
    """Three passes of a new stream with this state; an epoch of None is not set."""
    resumed = stream()
    resumed.load_state_dict(state)
    lists = []
    for epoch in epochs:
        if epoch is not None:
            resumed.set_epoch(epoch)
        lists.append([row["clip"] for row in resumed])
    return lists


whole = list(range(CLIPS))
state, rest = saved(SEEN)
later, later_rest = saved(SEEN, epoch=1)
end, _ = saved(CLIPS)
seen = {
    "saved in epoch 0, set_epoch before each pass": passes(state, (0, 1, 2)),
    "saved in epoch 0": passes(state),
    "saved at the end of epoch 0": passes(end),
    "saved in epoch 1, set_epoch before each pass": passes(later, (1, 2, 3)),
    "saved in epoch 1": passes(later),
}
for name, lists in seen.items():
    print(f"{name:45}", *lists)
print("the state of epoch 1:", later)
if any(seen[f"saved in epoch {n}, set_epoch before each pass"] != [rest, whole, whole] for n in (0, 1)) or later_rest != rest:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["saved in epoch 0"] != [rest] * 3 or any(seen["saved at the end of epoch 0"]):
    sys.exit("CHANGED: the passes after the first are whole")
if later["epoch"] != 1 or seen["saved in epoch 1"] != [whole] * 3:
    sys.exit("CHANGED: the state of a later epoch is used")
print("HOLDS: every epoch after a resume is its rest, or the state is ignored")
PY
