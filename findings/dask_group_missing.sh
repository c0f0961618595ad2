#!/usr/bin/env bash
# In Dask mean(), std() and var() of groups have a group of the rows without a key, sum() and count() have not.
#
# Guess:  groupby leaves out rows whose key is missing, as pandas does and as groupby's dropna says, whatever is asked of it.
# Truth:  where the key is text, the default type of pandas 3, mean, std and var have one group more, <NA>; sum, count, size,
#         min, max, median and first have not: averages over the groups, weights made of them and joins by position are of
#         other groups. With dropna=True written out, it is gone.
# Seen:   dask 2026.8.0, pandas 3.1.1
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
import dask.dataframe as dd
import pandas as pd

print("dask", dask.__version__, "pandas", pd.__version__)
frame = pd.DataFrame({"source": ["a", "b", None, "a"] * 3, "score": [0.1, 0.2, 0.3, 0.5] * 3})
parts = dd.from_pandas(frame, npartitions=2)
groups = {}
for question in ("sum", "count", "size", "min", "max", "median", "first", "mean", "std", "var"):
    pandas = getattr(frame.groupby("source").score, question)()
    dasks = getattr(parts.groupby("source").score, question)().compute()
    written = getattr(parts.groupby("source", dropna=True).score, question)().compute()
    groups[question] = (len(pandas), len(dasks), len(written))
    print(f"{question:7} pandas {sorted(pandas.index)}, dask {list(dasks.index)}, with dropna=True {list(written.index)}")
scores = parts.groupby("source").score.mean().compute().mean(), frame.groupby("source").score.mean().mean()
print("mean of the means: dask", round(scores[0], 4), "pandas", round(scores[1], 4))
odd = {question for question, (_, dasks, _) in groups.items() if dasks != 2}
print("with a third group:", sorted(odd))
if any(pandas != 2 for pandas, _, _ in groups.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if odd != {"mean", "std", "var"}:
    sys.exit("CHANGED: other questions, or none, have the group of the missing key")
if any(written != 2 for _, _, written in groups.values()):
    sys.exit("CHANGED: dropna=True does not take it away")
print("HOLDS: mean, std and var have a group of the rows without a key")
PY
