#!/usr/bin/env bash
# A caption with a carriage return breaks the CSV that pandas writes, and pandas reads the halves as two clips.
#
# Guess:  to_csv quotes a text that has a line end in it, whichever of the three line ends it is; read_csv gives the table
#         back.
# Truth:  Python's csv writer, which pandas uses, quotes "\n" and, with lineterminator="\n", not a lone "\r": and read_csv
#         takes a bare "\r" for the end of a row. What follows it becomes the first column of another row, whose other columns
#         are missing: one clip more, no error, and the column of ids is text. csv.reader breaks there, too; Polars reads it
#         right, PyArrow and DuckDB stop. A lone "\r" is in captions from subtitles, progress bars and old Macs, and where
#         "\r\n" lost its "\n". Polars and PyArrow quote it. quoting=csv.QUOTE_NONNUMERIC is a remedy.
# Seen:   pandas 3.1.1, Python 3.11.7, polars 2.1.0, pyarrow 25.0.1, duckdb 2.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pandas==3.1.1 polars==2.1.0 pyarrow==25.0.1 duckdb==2.0.1
venv/bin/python - <<'PY'
import csv
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv

print("pandas", pd.__version__, "python", sys.version.split()[0], "polars", pl.__version__)
print("pyarrow", pa.__version__, "duckdb", duckdb.__version__)
rows = {"clip": [1, 2, 3], "caption": ["a cat\rsits", "a dog", "a bird"]}
table = pd.DataFrame(rows)
table.to_csv("pandas.csv", index=False)
table.to_csv("quoted.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
pl.DataFrame(rows).write_csv("polars.csv")
pa.csv.write_csv(pa.table(rows), "pyarrow.csv")


def tried(read):
    try:
        return read()
    except Exception as error:  # which of them stop is what is asked
        return type(error).__name__


print("pandas.csv:", open("pandas.csv", "rb").read())
again = pd.read_csv("pandas.csv").to_dict("list")
print("read by pandas:", again)
readers = {
    "polars": lambda: pl.read_csv("pandas.csv").to_dict(as_series=False),
    "pyarrow": lambda: pa.csv.read_csv("pandas.csv").to_pydict(),
    "duckdb": lambda: duckdb.sql("from 'pandas.csv'").fetchall(),
    "csv": lambda: len(list(csv.reader(open("pandas.csv", newline="")))),
}
others = {name: tried(read) for name, read in readers.items()}
print("read by others:", others)
for name in ("quoted", "polars", "pyarrow"):
    if pd.read_csv(f"{name}.csv").to_dict("list") != rows:
        sys.exit(f"CHANGED: {name}.csv is not read right")
if again["clip"] != ["1", "sits", "2", "3"] or again["caption"][0] != "a cat":
    sys.exit("CHANGED: pandas reads back what it wrote, or another thing")
if others["polars"] != rows or others["csv"] != 5 or not all(isinstance(others[name], str) for name in ("pyarrow", "duckdb")):
    sys.exit(f"CHANGED: {others}")
print("HOLDS: three clips are four")
PY
