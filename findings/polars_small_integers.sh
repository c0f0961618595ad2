#!/usr/bin/env bash
# Polars' small integers wrap around: 5 letters less 77 are 4 294 967 224, and the mean of 200 and 200 is 72.
#
# Guess:  lengths and counts are numbers that can be subtracted (they are 64 bits with a sign in pandas and DuckDB), and the mean
#         of two columns is their mean, as the mean of one column is.
# Truth:  str.len_chars(), list.len(), pl.len(), n_unique() and arg_min() are UInt32 and stay so: `len_chars() - 77 > 0` holds
#         for every caption but those of exactly 77. mean_horizontal and sum_horizontal add up in the columns' own type:
#         of two UInt8 columns of 200 the mean is 72, and dot() is modulo 256 too, while sum(), mean(), list.mean() and
#         group_by widen. No error, no null. numpy's and pyarrow's lengths are signed.
# Seen:   polars 2.1.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet polars==2.1.0
venv/bin/python - <<'PY'
import sys

import polars as pl

print("polars", pl.__version__)
captions = pl.DataFrame({"caption": ["a cat", "x" * 77, "x" * 100], "tags": [["a"], ["a"] * 3, ["a"] * 5]})
over = captions.select(
    length=pl.col("caption").str.len_chars() - 77,
    long=(pl.col("caption").str.len_chars() - 77) > 0,
    tags=pl.col("tags").list.len() - 3,
    rows=pl.len() - 10,
    signed=pl.col("caption").str.len_chars().cast(pl.Int64) - 77,
)
print(over)
levels = pl.DataFrame({"left": pl.Series([200], dtype=pl.UInt8), "right": pl.Series([200], dtype=pl.UInt8)})
mean = levels.select(pl.mean_horizontal("left", "right")).item()
total = levels.select(pl.sum_horizontal("left", "right")).item()
column = pl.Series([200, 200], dtype=pl.UInt8)
listed = pl.Series([[200, 200]], dtype=pl.List(pl.UInt8)).list.mean()[0]
dot = column.dot(column)
print("mean_horizontal", mean, "sum_horizontal", total, "dot", dot)
print("mean", column.mean(), "sum", column.sum(), "list.mean", listed)
if over["signed"].to_list() != [-72, 0, 23] or (column.mean(), column.sum(), listed) != (200.0, 400, 200.0):
    sys.exit("CHANGED: what it is compared with does not hold")
if over["length"].to_list() != [2**32 - 72, 0, 23] or over["long"].to_list() != [True, False, True]:
    sys.exit("CHANGED: lengths can be subtracted")
if over["tags"].to_list()[0] != 2**32 - 2 or over["rows"].to_list()[0] != 2**32 - 7:
    sys.exit("CHANGED: counts can be subtracted")
if (mean, total, dot) != (72.0, 144, 80000 % 256):
    sys.exit("CHANGED: horizontal sums are wide enough")
print("HOLDS: the shortest caption is too long, and the mean of 200 and 200 is 72")
PY
