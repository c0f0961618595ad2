#!/usr/bin/env bash
# Polars' sum of a Float16 column within groups stops at 2048 for each thread; the mean of the same group is right.
#
# Guess:  a sum of Float16 is kept in a wider type, as the mean is and as pandas' sum is; and the sum of a group is that of its rows.
# Truth:  group_by().agg(sum) adds one by one in float16, where 2048 + 1 is 2048: 50 000 ones in a group have the sum 2048 with one
#         thread and 4096 with two, without a word. The sum of the whole column is 49984 (50 000 rounded to float16) and infinite from
#         65 520 on. mean() is 1.0 everywhere, so that it is not the sum over the count. Cast to Float32 first, all are right.
# Seen:   polars 2.1.0, pandas 3.1.1, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet polars==2.1.0 pandas==3.1.1 numpy==2.4.6
POLARS_MAX_THREADS=1 venv/bin/python - <<'PY'
import sys

import numpy as np
import pandas
import polars as pl

print("polars", pl.__version__, "pandas", pandas.__version__, "numpy", np.__version__)
seen = {}
for count in (2048, 50_000, 100_000):
    ones = np.ones(count, np.float16)
    frame = pl.DataFrame({"group": np.zeros(count, np.int64), "value": ones})
    groups = frame.group_by("group").agg(sum=pl.col("value").sum(), mean=pl.col("value").mean(), wide=pl.col("value").cast(pl.Float32).sum())
    seen[count] = {
        "of the group": groups["sum"].item(),
        "of the column": frame["value"].sum(),
        "mean of the group": groups["mean"].item(),
        "of the group, as Float32": groups["wide"].item(),
        "pandas, of the group": float(pandas.DataFrame({"g": 0, "v": ones}).groupby("g")["v"].sum().iloc[0]),
        "pandas, of the column": float(pandas.Series(ones).sum()),
    }
    print(f"{count} ones: {seen[count]}")
for count, found in seen.items():
    if found["mean of the group"] != 1.0 or found["of the group, as Float32"] != count or found["pandas, of the column"] != count:
        sys.exit("CHANGED: what it is compared with does not hold")
if seen[50_000]["of the column"] != 49984.0 or seen[2048]["of the group"] != 2048.0:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen[50_000]["of the group"] != 2048.0:
    sys.exit("CHANGED: the sum of a group goes on")
print("HOLDS: 50 000 ones in a group have the sum", seen[50_000]["of the group"], "and the mean", seen[50_000]["mean of the group"])
PY
