#!/usr/bin/env bash
# With an index the tfrecord package reads a file from a random place on; without one each worker reads all of it.
#
# Guess:  the index of a TFRecord file is where its records begin: with it workers share the file, and reading it in one process
#         gives the file's order, as without one. Without one workers share it otherwise, or it is refused.
# Truth:  in one process with an index a pass begins at a random record and goes round (by NumPy's global random numbers): the
#         order is another in each pass although nothing was shuffled, and the n-th prediction belongs to another record.
#         With shares but no index each share is the whole file: 4 workers give every record 4 times, in training and in
#         scores. TFRecordDataset passes a DataLoader's workers on as the shares that are asked for here. No word of either.
# Seen:   tfrecord 1.14.6, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tfrecord==1.14.6 numpy==2.4.6
cat > order.py <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from tfrecord.reader import tfrecord_loader
from tfrecord.tools.tfrecord2idx import create_index
from tfrecord.writer import TFRecordWriter

print(*(f"{name} {version(name)}" for name in ("tfrecord", "numpy")))
writer = TFRecordWriter("clips.tfrecord")
for number in range(12):
    writer.write({"row": (number, "int")})
writer.close()
create_index("clips.tfrecord", "clips.index")


def rows(index, shard=None):
    return [int(record["row"][0]) for record in tfrecord_loader("clips.tfrecord", index, {"row": "int"}, shard=shard)]


def shares(index):
    return [row for worker in range(4) for row in rows(index, (worker, 4))]


np.random.seed(0)
plain = rows(None)
passes = [rows("clips.index") for _ in range(4)]
shared, repeated = shares("clips.index"), shares(None)
print("one process, no index:", plain)
for one in passes:
    print("one process, an index:", one)
print("4 shares, an index:   ", shared)
print("4 shares, no index:   ", repeated)
if plain != list(range(12)) or shared != plain or any(sorted(one) != plain for one in passes):
    sys.exit("CHANGED: what it is compared with does not hold")
if len({one[0] for one in passes}) == 1:
    sys.exit("CHANGED: with an index a pass begins at the same record")
if repeated != plain * 4:
    sys.exit("CHANGED: without an index shares are other parts of the file")
print("HOLDS: passes begin at", [one[0] for one in passes], "and 4 shares give 48 of 12 records")
PY
venv/bin/python order.py
