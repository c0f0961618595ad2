#!/usr/bin/env bash
# A clip whose score is NaN passes `score > 0.9` in DuckDB and Polars, and is the best one of a ranking.
#
# Guess:  a comparison with NaN is false: clips whose scorer failed fall out at any threshold, whichever library filters.
# Truth:  DuckDB and Polars order NaN above all numbers, also in comparisons: `score > 0.9` keeps those clips, `score < 0.9`
#         drops them, and the first of a descending order and of top_k is NaN. pandas and PyArrow compare as IEEE says. The
#         maximum is NaN in DuckDB, and leaves NaN out in Polars. DuckDB's answer depends on where the table comes from: of a
#         pandas frame NaN is NULL and passes nothing; of the same rows as a Polars frame or an Arrow table NaN passes.
# Seen:   duckdb 2.0.1, polars 2.1.0, pandas 3.1.1, pyarrow 25.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet duckdb==2.0.1 polars==2.1.0 pandas==3.1.1 pyarrow==25.0.1
venv/bin/python - <<'PY'
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print("duckdb", duckdb.__version__, "polars", pl.__version__, "pandas", pd.__version__, "pyarrow", pa.__version__)
rows = {"clip": [0, 1, 2], "score": [0.5, float("nan"), 0.95]}
by_pandas, by_polars, by_arrow = pd.DataFrame(rows), pl.DataFrame(rows), pa.table(rows)


def asked(table, rest):
    return [row[0] for row in duckdb.sql(f"select clip from {table} {rest}").fetchall()]


passing = {
    "pandas": by_pandas.loc[by_pandas.score > 0.9, "clip"].tolist(),
    "pyarrow": by_arrow.filter(pc.field("score") > 0.9)["clip"].to_pylist(),
    "polars": by_polars.filter(pl.col("score") > 0.9)["clip"].to_list(),
    "duckdb of polars": asked("by_polars", "where score > 0.9"),
    "duckdb of pyarrow": asked("by_arrow", "where score > 0.9"),
    "duckdb of pandas": asked("by_pandas", "where score > 0.9"),
}
first = {
    "pandas": by_pandas.sort_values("score", ascending=False)["clip"].tolist()[0],
    "pyarrow": by_arrow.sort_by([("score", "descending")])["clip"][0].as_py(),
    "polars, sort": by_polars.sort("score", descending=True)["clip"][0],
    "polars, top_k": by_polars.top_k(1, by="score")["clip"][0],
    "duckdb of polars": asked("by_polars", "order by score desc limit 1")[0],
    "duckdb of pandas": asked("by_pandas", "order by score desc limit 1")[0],
}
print("clips with a score above 0.9:", passing)
print("the best clip:", first)
print("the greatest: polars", by_polars["score"].max(), "duckdb", duckdb.sql("select max(score) from by_polars").fetchall()[0][0])
if sorted(name for name, clips in passing.items() if clips == [1, 2]) != ["duckdb of polars", "duckdb of pyarrow", "polars"]:
    sys.exit(f"CHANGED: NaN passes in others: {passing}")
if [name for name, clips in passing.items() if clips == [2]] != ["pandas", "pyarrow", "duckdb of pandas"]:
    sys.exit(f"CHANGED: {passing}")
if sorted(name for name, clip in first.items() if clip == 1) != ["duckdb of polars", "polars, sort", "polars, top_k"]:
    sys.exit(f"CHANGED: NaN is first in others: {first}")
print("HOLDS: NaN passes `> 0.9` in DuckDB and Polars, not in pandas and PyArrow")
PY
