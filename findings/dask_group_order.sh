#!/usr/bin/env bash
# Dask's groupby takes the rows of a group in another order: first() is not the first, ffill() fills with later values.
#
# Guess:  the rows of a group come in the order of the frame, as in pandas: the frames of a clip, sorted by time, stay so
#         in groupby("clip").
# Truth:  where a group lies in several partitions, these are put together in another order: apply() and transform() get the
#         rows mixed; ffill(), bfill() and rolling() take values from the rows that happen to stand before, from later ones,
#         too. first() and last() are right with 6 partitions, and with 40, without any option, they are rows of the
#         middle, as they are with split_out=2. Nothing is said. In one partition all is as in pandas.
# Seen:   dask 2026.8.0, pandas 3.1.1, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet "dask[dataframe]==2026.8.0" pandas==3.1.1 numpy==2.4.6 pyarrow==25.0.1
venv/bin/python -W ignore - <<'PY'
import sys

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

ROWS = 3000
print("dask", dask.__version__, "pandas", pd.__version__, "numpy", np.__version__)
times = np.arange(ROWS)
known = np.where(np.random.default_rng(0).random(ROWS) < 0.5, np.nan, times)
frame = pd.DataFrame({"clip": times % 3, "time": times, "box": known})
filled = frame.groupby("clip").box.ffill()
firsts, lasts = frame.groupby("clip").time.first().tolist(), frame.groupby("clip").time.last().tolist()
print("pandas: first", firsts, "last", lasts)
seen = {}
for number in (1, 6, 40):
    groups = dd.from_pandas(frame, npartitions=number).groupby("clip")
    sorted_lists = [times == sorted(times) for times in groups.time.apply(list, meta=("time", object)).compute()]
    box = groups.box.ffill().compute().sort_index()
    wrong = ~((box == filled) | (box.isna() & filled.isna()))
    first, last = groups.time.first().compute().sort_index(), groups.time.last().compute().sort_index()
    seen[number] = (all(sorted_lists), int(wrong.sum()), first.tolist() == firsts, last.tolist() == lasts)
    print(
        f"{number:2} partitions: apply's rows in order {sorted_lists}; ffill: {wrong.sum()} of {ROWS} wrong, {(box > times).sum()}"
        f" from later rows; first {first.tolist()}, last {last.tolist()}"
    )
split = dd.from_pandas(frame, npartitions=6).groupby("clip").time.first(split_out=2).compute().sort_index().tolist()
print("with 6 partitions and split_out=2: first", split)
if seen[1] != (True, 0, True, True) or not all(seen[6][2:]):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[number][0] or not seen[number][1] for number in (6, 40)):
    sys.exit("CHANGED: the rows of a group are in order")
if any(seen[40][2:]) or split == firsts:
    sys.exit("CHANGED: the first and the last row are right")
print("HOLDS: the rows of a group are mixed, and its first row is another one")
PY
