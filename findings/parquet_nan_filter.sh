#!/usr/bin/env bash
# Filters on a Parquet file lose rows whose value is NaN, in PyArrow and in DuckDB.
#
# Guess:  a filter given to the reader keeps the rows that the same filter keeps once the table is in memory, at least
#         `is_nan`, whose only purpose is to find them.
# Truth:  Parquet's minimum and maximum of a row group leave NaN out, and these readers drop row groups by them as if
#         they covered all rows. PyArrow: `~(loss <= 5)` finds no NaN, and where the other values of the group are
#         equal even `is_nan(loss)` and `loss != 1` find none. DuckDB: `isnan(loss)` and `loss > 5` (NaN is its greatest
#         value) find rows in a table and none in the file, unless read_parquet(..., can_have_nan=true). So a search for
#         diverged runs or failed scores reports that there are none. Polars' own reader finds them.
# Seen:   pyarrow 25.0.1, duckdb 2.0.1, polars 2.1.0 (files written by PyArrow)
# Known:  https://github.com/duckdb/duckdb/pull/17883 (why it is DuckDB's default),
#         https://github.com/apache/arrow/issues/34162 (all NaN)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==25.0.1 duckdb==2.0.1 polars==2.1.0
venv/bin/python - <<'PY'
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print("pyarrow", pa.__version__, "duckdb", duckdb.__version__, "polars", pl.__version__)
nan = float("nan")
seen = {}
for name, loss in (("varied", [1.0, nan, 3.0, 2.0]), ("constant", [1.0, nan, 1.0])):
    table = pa.table({"run": list(range(len(loss))), "loss": loss})
    file = f"{name}.parquet"
    pq.write_table(table, file)
    field = pc.field("loss")
    for label, keep in (("~(loss <= 5)", ~(field <= 5)), ("is_nan(loss)", pc.is_nan(field)), ("loss != 1", field != 1)):
        memory = table.filter(keep)["run"].to_pylist()
        read = ds.dataset(file).to_table(filter=keep)["run"].to_pylist()
        also = pq.read_table(file, filters=keep)["run"].to_pylist()
        seen["pyarrow", name, label] = (memory, read)
        print(f"pyarrow {name:9} {label:14} in memory {memory!s:10} dataset {read!s:10} read_table {also}")
    duckdb.sql(f"create table {name} as select * from '{file}'")
    for label in ("isnan(loss)", "loss > 5"):
        query = "select run from {} where " + label + " order by run"
        memory = [row[0] for row in duckdb.sql(query.format(name)).fetchall()]
        read = [row[0] for row in duckdb.sql(query.format(f"'{file}'")).fetchall()]
        asked = query.format(f"read_parquet('{file}', can_have_nan=true)")
        told = [row[0] for row in duckdb.sql(asked).fetchall()]
        seen["duckdb", name, label] = (memory, read)
        print(f"duckdb  {name:9} {label:14} table     {memory!s:10} file    {read!s:10} can_have_nan=true {told}")
        if told != memory:
            sys.exit("CHANGED: can_have_nan=true does not help")
    found = pl.scan_parquet(file).filter(pl.col("loss").is_nan()).collect()["run"].to_list()
    print(f"polars  {name:9} is_nan         file      {found}")
    if found != [1]:
        sys.exit("CHANGED: Polars loses rows too")
lost = [key for key, (memory, read) in seen.items() if 1 in memory and read == []]
expected = [
    ("pyarrow", "varied", "~(loss <= 5)"), ("duckdb", "varied", "isnan(loss)"), ("duckdb", "varied", "loss > 5"),
    ("pyarrow", "constant", "~(loss <= 5)"), ("pyarrow", "constant", "is_nan(loss)"), ("pyarrow", "constant", "loss != 1"),
    ("duckdb", "constant", "isnan(loss)"), ("duckdb", "constant", "loss > 5"),
]
if lost != expected:
    sys.exit(f"CHANGED: rows are lost by {lost}")
print("HOLDS: eight filters keep a NaN row in memory and lose it when they are given to the reader")
PY
