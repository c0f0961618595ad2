#!/usr/bin/env bash
# `score >= 0.9` on a float32 column keeps other rows in each library, and in DuckDB by how 0.9 is written.
#
# Guess:  a filter on scores kept as float32 selects the same clips whichever library runs it; 0.9 in the column is 0.9.
# Truth:  float32's 0.9 is 0.8999999762. Polars and pandas narrow the 0.9 of the condition to float32: the clip stays. PyArrow
#         widens the column: it goes, also from pandas.read_parquet(filters=...) and from columns of PyArrow in pandas.
#         DuckDB keeps it for `0.9`, which is a decimal, and not for `9e-1`, for a bound parameter, or for what Python hands
#         over as ?. A row of datasets is a Python number (goes), in numpy's format it stays. Equality and isin split alike
#         but not in the same places: Polars' and pandas' isin([0.9]) find nothing. Scores rounded to hundredths, as
#         aesthetic scores and thresholds are, meet this often.
# Seen:   pyarrow 25.0.1, pandas 3.1.1, polars 2.1.0, duckdb 2.0.1, datasets 5.2.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==25.0.1 pandas==3.1.1 polars==2.1.0 duckdb==2.0.1 datasets==5.2.0
venv/bin/python - <<'PY'
import sys

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

print("pyarrow", pa.__version__, "pandas", pd.__version__, "polars", pl.__version__, "duckdb", duckdb.__version__)
print("datasets", datasets.__version__)
datasets.disable_progress_bars()
table = pa.table({"clip": [0, 1, 2], "score": pa.array([0.5, 0.9, 0.95], pa.float32())})
pq.write_table(table, "scores.parquet")
frame, arrow_frame = pd.read_parquet("scores.parquet"), pd.read_parquet("scores.parquet", dtype_backend="pyarrow")
lazy = pl.scan_parquet("scores.parquet")
rows = datasets.Dataset(table)
query = "select clip from 'scores.parquet' where score {} order by clip"
seen = {
    "pyarrow, table.filter": table.filter(pc.field("score") >= 0.9)["clip"].to_pylist(),
    "pyarrow, read_table(filters)": pq.read_table("scores.parquet", filters=[("score", ">=", 0.9)])["clip"].to_pylist(),
    "pandas, frame[...]": frame.loc[frame.score >= 0.9, "clip"].tolist(),
    "pandas, query": frame.query("score >= 0.9")["clip"].tolist(),
    "pandas, read_parquet(filters)": pd.read_parquet("scores.parquet", filters=[("score", ">=", 0.9)])["clip"].tolist(),
    "pandas, columns of pyarrow": arrow_frame.loc[arrow_frame.score >= 0.9, "clip"].tolist(),
    "polars": lazy.filter(pl.col("score") >= 0.9).collect()["clip"].to_list(),
    "duckdb, >= 0.9": [row[0] for row in duckdb.sql(query.format(">= 0.9")).fetchall()],
    "duckdb, >= 9e-1": [row[0] for row in duckdb.sql(query.format(">= 9e-1")).fetchall()],
    "duckdb, >= ? with 0.9": [row[0] for row in duckdb.execute(query.format(">= ?"), [0.9]).fetchall()],
    "datasets, rows": list(rows.filter(lambda row: row["score"] >= 0.9)["clip"]),
    "datasets, rows of numpy": [int(clip) for clip in rows.with_format("numpy").filter(lambda row: row["score"] >= 0.9)["clip"]],
}
for name, clips in seen.items():
    print(f"{name:32} {clips}")
print("is 0.9: polars", lazy.filter(pl.col("score").is_in([0.9])).collect()["clip"].to_list(), end=" ")
print("pandas", frame.loc[frame.score.isin([0.9]), "clip"].tolist(), end=" ")
print("duckdb", [row[0] for row in duckdb.sql(query.format("in (0.9)")).fetchall()])
keeping = [name for name, clips in seen.items() if clips == [1, 2]]
dropping = [name for name, clips in seen.items() if clips == [2]]
expected = ["pandas, frame[...]", "pandas, query", "polars", "duckdb, >= 0.9", "datasets, rows of numpy"]
if keeping != expected or len(keeping) + len(dropping) != len(seen):
    sys.exit(f"CHANGED: the clip of 0.9 is kept by {keeping}")
print(f"HOLDS: {len(keeping)} of {len(seen)} ways keep the clip whose score is 0.9")
PY
