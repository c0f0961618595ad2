#!/usr/bin/env bash
# Dask's quantiles are too large, and the more so the more partitions there are.
#
# Guess:  quantile() of Dask is approximate: off by a little in either direction, less with more data.
# Truth:  the quantiles of the partitions are merged, and of equally random rows the result grows with the number of
#         partitions: with 100 of 1000 rows the median of an exponential spread (durations) is 12 % too large and the 99th
#         percentile 16 %, so that a filter by it leaves out half as many clips as it should. da.percentile and the median of
#         describe() are the same. With one partition it is exact; da.percentile asked for all of 1 to 99 at once is nearer.
# Seen:   dask 2026.8.0, pandas 3.1.1, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet "dask[dataframe]==2026.8.0" pandas==3.1.1 numpy==2.4.6 pyarrow==25.0.1
venv/bin/python - <<'PY'
import sys

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd

print("dask", dask.__version__, "pandas", pd.__version__, "numpy", np.__version__)
durations = pd.Series(np.random.default_rng(0).exponential(size=100_000), name="duration")
asked = [0.5, 0.9, 0.99]
right = durations.quantile(asked).to_numpy()
print("pandas", right.round(3))
seen, above = {}, {}
for number in (1, 10, 100):
    parts = dd.from_pandas(durations, npartitions=number)
    seen[number] = parts.quantile(asked).compute().to_numpy() / right
    array = da.percentile(da.from_array(durations.to_numpy(), chunks=len(durations) // number), [50, 90, 99]).compute()
    middle = parts.describe().compute()["50%"] / right[0]
    above[number] = int((durations > parts.quantile(0.99).compute()).sum())
    print(
        f"{number:3} partitions, by pandas': {seen[number].round(3)}, da.percentile {(array / right).round(3)},"
        f" describe's median {middle:.3f}, rows above the 99th percentile {above[number]}"
    )
if not np.allclose(seen[1], 1):
    sys.exit("CHANGED: one partition is not exact")
if (seen[100] < 1.08).any() or (seen[10] < 1.005).any() or above[100] > 700:
    sys.exit("CHANGED: quantiles of many partitions are nearer")
print("HOLDS: with 100 partitions quantiles are 12 to 16 % too large, and half as many rows as asked are above the 99th")
PY
