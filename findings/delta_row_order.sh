#!/usr/bin/env bash
# A Delta table is read with the newest rows first.
#
# Guess:  rows that were appended come after those that were there, as in a folder of Parquet files and in Lance; row n of the table
#         is the same row after the next append.
# Truth:  the files of a version are listed newest first: after four appends of two rows the table begins with the last two, in
#         to_pyarrow_table and in to_pandas, and in Polars' read_delta. Each append changes the number of every row, so features or splits
#         that are kept beside the table by row number belong to others. Within a file the order is kept.
# Seen:   deltalake 1.6.6, pyarrow 25.0.1, pandas 3.1.1, polars 2.1.0, pylance 14.0.2
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet deltalake==1.6.6 pyarrow==25.0.1 pandas==3.1.1 polars==2.1.0 pylance==14.0.2
venv/bin/python - <<'PY'
import sys

import deltalake
import lance
import pandas
import polars
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

print("deltalake", deltalake.__version__, "pandas", pandas.__version__, "polars", polars.__version__, "pylance", lance.__version__)
for number in range(4):
    rows = pa.table({"id": [2 * number, 2 * number + 1]})
    write_deltalake("delta", rows, mode="append")
    lance.write_dataset(rows, "lance", mode="append")
    print(f"after append {number + 1}:", DeltaTable("delta").to_pyarrow_table()["id"].to_pylist())
seen = {
    "pyarrow": DeltaTable("delta").to_pyarrow_table()["id"].to_pylist(),
    "pandas": DeltaTable("delta").to_pandas()["id"].tolist(),
    "polars": polars.read_delta("delta")["id"].to_list(),
}
ordered = lance.dataset("lance").to_table()["id"].to_pylist()
print("read by", seen, "Lance:", ordered)
if ordered != list(range(8)):
    sys.exit("CHANGED: what it is compared with does not hold")
for name, found in seen.items():
    if found == list(range(8)):
        sys.exit(f"CHANGED: {name} reads rows in the order in which they were written")
    if found != [6, 7, 4, 5, 2, 3, 0, 1]:
        sys.exit(f"CHANGED: {name} reads {found}")
print("HOLDS: the newest rows come first")
PY
