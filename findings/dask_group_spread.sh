#!/usr/bin/env bash
# The spread of groups in Dask is computed in the column's own type: of uint8 it is 0, of times of today 0 or 18 for 1.
#
# Guess:  groupby().std() and var() of Dask are those of pandas up to rounding, as std() of the whole column is.
# Truth:  they are made of the sums of x and of x * x, where x * x has the column's type: uint8 and int16 are squared modulo
#         256 and 65 536, and the negative variance that comes of it is set to 0; int32 loses half or all of a spread of 28 thousand.
#         Of float64 the difference of the sums has no digits left where the mean is 1e8 deviations and more (seconds since
#         1970), of float32 from some thousand. No warning. std() and var() without groupby are right, and so is
#         groupby().apply.
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
import dask.dataframe as dd
import numpy as np
import pandas as pd

print("dask", dask.__version__, "pandas", pd.__version__, "numpy", np.__version__)
random = np.random.default_rng(0)
small = random.normal(size=100_000)
columns = {
    "brightness uint8": random.integers(0, 256, 100_000).astype(np.uint8),
    "size int32": random.integers(0, 100_000, 100_000).astype(np.int32),
    "seconds float64": 1.7e9 + small,
    "score float64": small,
}
frame = pd.DataFrame({"source": np.arange(100_000) % 2, **columns})
parts = dd.from_pandas(frame, npartitions=4)
right = frame.groupby("source").std()
seen = parts.groupby("source").std().compute()
whole = parts.std().compute()
for name in columns:
    print(
        f"{name:17} by source: pandas {right[name].round(3).tolist()}, dask {seen[name].round(3).tolist()};"
        f" without groupby: dask {whole[name]:.3f}"
    )
if any(abs(whole[name] / frame[name].std() - 1) > 1e-3 for name in columns):
    sys.exit("CHANGED: the spread of a whole column is wrong, too")
if not np.allclose(seen["score float64"], right["score float64"]):
    sys.exit("CHANGED: the spread around 0 is wrong, too")
if (seen["brightness uint8"] != 0).any() or (seen["size int32"] > 0.6 * right["size int32"]).any():
    sys.exit("CHANGED: small integers are squared in a wider type")
if (abs(seen["seconds float64"] / right["seconds float64"] - 1) < 0.5).any():
    sys.exit("CHANGED: the spread of large numbers is right")
print("HOLDS: a spread of 74 is 0, one of 29 thousand is half or 0, one of 1 second is another number")
PY
