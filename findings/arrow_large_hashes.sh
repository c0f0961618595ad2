#!/usr/bin/env bash
# 64-bit hashes above 2**63 in JSON or CSV are rounded by PyArrow, and by what reads through it.
#
# Guess:  a whole number of JSON is read exactly or refused; the unsigned 64-bit hashes of a deduplication (xxhash, pHash) fit
#         uint64, which PyArrow has.
# Truth:  PyArrow infers int64 or double: one value of 2**63 or more, as half of all hashes are, makes the column double, and
#         the last 11 bits of all are gone. Two hashes that differ in them are equal: different clips become duplicates. The
#         same in datasets.load_dataset("json") and in pandas.read_json(engine="pyarrow"). pandas' own reader, Polars and
#         DuckDB are exact. A schema with uint64 reads them all. A caption file joined by such a key finds nothing, or others'
#         captions.
# Seen:   pyarrow 25.0.1, datasets 5.2.0, pandas 3.1.1, polars 2.1.0, duckdb 2.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==25.0.1 datasets==5.2.0 pandas==3.1.1 polars==2.1.0 duckdb==2.0.1
HF_HUB_OFFLINE=1 HF_HOME="$work/hf" venv/bin/python - <<'PY'
import json
import sys
from pathlib import Path

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.json

print("pyarrow", pa.__version__, "datasets", datasets.__version__, "pandas", pd.__version__)
print("polars", pl.__version__, "duckdb", duckdb.__version__)
datasets.disable_progress_bars()
hashes = [0xF0E1D2C3B4A59687, 0xF0E1D2C3B4A59686, 0xF0E1D2C3B4A59600, 0x00E1D2C3B4A59687]
Path("a.jsonl").write_text("".join(json.dumps({"hash": value}) + "\n" for value in hashes))
Path("a.csv").write_text("hash\n" + "".join(f"{value}\n" for value in hashes))
typed = pa.json.ParseOptions(explicit_schema=pa.schema({"hash": pa.uint64()}))
read = {
    "pyarrow json": pa.json.read_json("a.jsonl")["hash"].to_pylist(),
    "pyarrow csv": pa.csv.read_csv("a.csv")["hash"].to_pylist(),
    "pandas json, pyarrow": pd.read_json("a.jsonl", lines=True, engine="pyarrow")["hash"].tolist(),
    "datasets json": list(datasets.load_dataset("json", data_files="a.jsonl", split="train")["hash"]),
    "pyarrow json, schema": pa.json.read_json("a.jsonl", parse_options=typed)["hash"].to_pylist(),
    "pandas json": pd.read_json("a.jsonl", lines=True)["hash"].tolist(),
    "pandas csv": pd.read_csv("a.csv")["hash"].tolist(),
    "datasets csv": list(datasets.load_dataset("csv", data_files="a.csv", split="train")["hash"]),
    "polars json": pl.read_ndjson("a.jsonl")["hash"].to_list(),
    "polars csv": pl.read_csv("a.csv")["hash"].to_list(),
    "duckdb json": [row[0] for row in duckdb.sql("from 'a.jsonl'").fetchall()],
    "duckdb csv": [row[0] for row in duckdb.sql("from 'a.csv'").fetchall()],
}
for name, values in read.items():
    print(f"{name:22} different hashes: {len(set(values))} of 4, the first {values[0]!r}, exact: {values == hashes}")
rounded = [name for name, values in read.items() if len(set(values)) < 4]
exact = [name for name, values in read.items() if values == hashes]
if rounded != list(read)[:4] or exact != list(read)[4:]:
    sys.exit(f"CHANGED: rounded by {rounded}, exact by {exact}")
print("HOLDS: three hashes are one in PyArrow, pandas through it, and datasets")
PY
