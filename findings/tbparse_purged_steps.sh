#!/usr/bin/env bash
# tbparse gives the points that a resumed run took back, TensorBoard does not.
#
# Guess:  the table of a TensorBoard log has the points that TensorBoard shows.
# Truth:  a run that crashed and goes on with purge_step=2 takes back its points from step 2 on: TensorBoard's own reader drops
#         them. tbparse reads each file by itself: both values of a step are in the table, the older one first. With
#         pivot=True the column's values are numbers and lists of two. A minimum, a mean over steps or a smoothed curve
#         is of both.
# Seen:   tbparse 0.0.9, tensorboard 2.21.0, tensorboardX 2.6.5
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tbparse==0.0.9 tensorboard==2.21.0 tensorboardX==2.6.5 pandas==3.1.1
venv/bin/python - 2> errors.txt <<'PY' || { cat errors.txt >&2; exit 1; }
import sys
from importlib.metadata import version

from tbparse import SummaryReader
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

print("tbparse", version("tbparse"), "tensorboard", version("tensorboard"), "tensorboardX", version("tensorboardX"))


def write(suffix, first, losses, **options):
    writer = SummaryWriter("run", filename_suffix=suffix, **options)
    for step, loss in enumerate(losses, first):
        writer.add_scalar("loss", loss, step)
    writer.close()


write(".1", 0, [1.0, 0.75, 0.0, 0.25])  # went wrong after step 1
write(".2", 2, [0.625, 0.5, 0.375], purge_step=2)
accumulator = EventAccumulator("run")
accumulator.Reload()
tensorboards = [(event.step, event.value) for event in accumulator.Scalars("loss")]
table = [(int(step), float(value)) for step, value in SummaryReader("run").scalars[["step", "value"]].to_numpy()]
pivot = SummaryReader("run", pivot=True).scalars["loss"].tolist()
print("tensorboard", tensorboards)
print("tbparse    ", table)
print("with pivot ", pivot)
if tensorboards != [(0, 1.0), (1, 0.75), (2, 0.625), (3, 0.5), (4, 0.375)]:
    sys.exit("CHANGED: what it is compared with does not hold")
if sorted(table) != sorted([*tensorboards, (2, 0.0), (3, 0.25)]) or not isinstance(pivot[2], list):
    sys.exit("CHANGED: tbparse gives other points")
print("HOLDS: steps 2 and 3 are there twice, and the least loss is one that was taken back")
PY
