#!/usr/bin/env bash
# Hashes as uint64 and hashes as int64 are compared as floats: pandas' merge and NumPy's isin pair those that differ in their
# last bits.
#
# Guess:  a join of two columns of whole numbers is exact, or is refused for their types.
# Truth:  NumPy's common type of uint64 and int64 is float64, which has 53 bits. merge() joins hashes that differ in the last
#         bit, np.isin finds them and np.intersect1d returns numbers that are in neither; perceptual hashes of pictures that
#         look alike differ just so. It needs one column that was written as uint64 and one whose values happened to fit
#         int64, as Python's numbers and JSON below 2**63 do. Series.isin, Polars and DuckDB are exact; PyArrow refuses.
# Seen:   numpy 2.4.6, pandas 3.1.1, polars 2.1.0, duckdb 2.0.1, pyarrow 25.0.1
# Known:  https://github.com/pandas-dev/pandas/issues/56367 (merge)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 pandas==3.1.1 polars==2.1.0 duckdb==2.0.1 pyarrow==25.0.1
venv/bin/python - <<'PY'
import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

print("numpy", np.__version__, "pandas", pd.__version__, "polars", pl.__version__)
print("duckdb", duckdb.__version__, "pyarrow", pa.__version__)
hashes = np.random.default_rng(0).integers(0, 2**64, 200, dtype=np.uint64)
others = hashes ^ np.uint64(1)
others = others[others < 2**63].astype(np.int64)
truth = len(set(hashes.tolist()) & set(others.tolist()))
mine, theirs = pl.DataFrame({"hash": hashes}), pl.DataFrame({"hash": others})
both = np.intersect1d(hashes, others)
seen = {
    "pandas, merge": len(pd.DataFrame({"hash": hashes}).merge(pd.DataFrame({"hash": others}))),
    "numpy, isin": int(np.isin(hashes, others).sum()),
    "numpy, intersect1d": len(both),
    "pandas, Series.isin": int(pd.Series(hashes).isin(others).sum()),
    "pandas, merge of uint64": len(pd.DataFrame({"hash": hashes}).merge(pd.DataFrame({"hash": others.astype(np.uint64)}))),
    "polars, join": mine.join(theirs, on="hash").height,
    "duckdb, join": duckdb.sql("select count(*) from mine join theirs using (hash)").fetchall()[0][0],
}
try:
    pa.table({"hash": hashes}).join(pa.table({"hash": others}), "hash")
    refused = False
except pa.ArrowInvalid:
    refused = True
print(f"{len(hashes)} hashes and {len(others)} others, which differ in one bit; in both: {truth}")
for name, number in seen.items():
    print(f"{name:24} {number}")
print("np.intersect1d gives", both.dtype, int(both[0]), "refused by pyarrow:", refused)
wrong = [name for name, number in seen.items() if number]
if truth or not refused:
    sys.exit("CHANGED: what it is compared with does not hold")
if wrong != ["pandas, merge", "numpy, isin", "numpy, intersect1d"] or min(seen[name] for name in wrong) < len(others) - 3:
    sys.exit(f"CHANGED: pairs are found by {wrong}")
print("HOLDS: all are found, and none is there")
PY
