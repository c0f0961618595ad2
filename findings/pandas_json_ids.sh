#!/usr/bin/env bash
# pandas.read_json makes numbers of quoted ids: "007" is 7, and two ids of 20 digits are one.
#
# Guess:  what is quoted in JSON is text; that is what JSON has over CSV.
# Truth:  a column of texts that all look like numbers becomes one of numbers, with or without lines=True: "007" and "7" are
#         both 7, "1.50" is 1.5, "12e4" is 120000.0, "nan" and "inf" are floats. Ids of 20 digits or more, and of 17 with one
#         missing, become floats: different ids are equal. Unquoted numbers under keys that end in `_time` or `_at` become
#         dates from 31 536 000 on: a start_time of 45 000 000 microseconds is in June 1971. `dtype=False` keeps all; so do
#         json.loads, Polars and DuckDB.
# Seen:   pandas 3.1.1, polars 2.1.0, duckdb 2.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pandas==3.1.1 polars==2.1.0 duckdb==2.0.1
venv/bin/python - <<'PY'
import json
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl

print("pandas", pd.__version__, "polars", pl.__version__, "duckdb", duckdb.__version__)
columns = {
    "zeros": ["007", "7"],
    "exponent": ["12e4", "120000"],
    "digits": ["17123456789012345671", "17123456789012345672"],
    "missing": ["7123456789012345671", None, "7123456789012345672"],
    "start_time": [45_000_000, 50_000_000],
    "words": ["007", "x"],
}
read = {}
for name, values in columns.items():
    Path(f"{name}.jsonl").write_text("".join(json.dumps({name: value}) + "\n" for value in values))
    Path(f"{name}.json").write_text(json.dumps([{name: value} for value in values]))
    read[name] = {
        "pandas": pd.read_json(f"{name}.json")[name].tolist(),
        "lines": pd.read_json(f"{name}.jsonl", lines=True)[name].tolist(),
        "dtype=False": pd.read_json(f"{name}.json", dtype=False)[name].tolist(),
        "polars": pl.read_ndjson(f"{name}.jsonl")[name].to_list(),
        "duckdb": [row[0] for row in duckdb.sql(f"from '{name}.jsonl'").fetchall()],
    }
    print(f"{name}: written {values}, pandas.read_json {read[name]['pandas']}")
for name, values in columns.items():
    for how in ("polars", "duckdb", "dtype=False"):
        if [value if isinstance(value, (str, int)) else None for value in read[name][how]] != values:
            sys.exit(f"CHANGED: {how} does not keep {name}: {read[name][how]}")
    if str(read[name]["lines"]) != str(read[name]["pandas"]):
        sys.exit(f"CHANGED: lines=True reads {name} differently")
seen = {name: found["pandas"] for name, found in read.items()}
if seen["words"] != columns["words"]:
    sys.exit("CHANGED: texts that are no numbers change, too")
if seen["zeros"] != [7, 7] or seen["exponent"] != [120000.0] * 2:
    sys.exit(f"CHANGED: {seen}")
if len(set(seen["digits"])) != 1 or seen["missing"][0] != seen["missing"][2]:
    sys.exit(f"CHANGED: {seen}")
if str(seen["start_time"][0]) != "1971-06-05 20:00:00":
    sys.exit(f"CHANGED: start_time is {seen['start_time']}")
print("HOLDS: quoted ids become numbers, and different ones equal")
PY
