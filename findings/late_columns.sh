#!/usr/bin/env bash
# A column that the first rows, or the first file, lack is dropped without a word.
#
# Guess:  a reader takes all columns of all rows and files, or stops where one does not fit what it found before.
# Truth:  the columns are those of the beginning, and what comes later is left out, without an error:
#         of the first dictionary in pyarrow.Table.from_pylist and datasets.Dataset.from_list; of the first file of a
#         folder of Parquet in pyarrow, pandas and DuckDB; of the first 100 lines of JSON in Polars. So captions that begin
#         later do not exist. DuckDB takes types from the first 20 480 objects of JSON: it refuses a later key, and
#         reads a later 1.5 in a column of whole numbers as 2. Polars refuses such Parquet files, datasets too; pandas and
#         Polars keep late keys of dictionaries. `schema=`, `union_by_name`, `infer_schema_length=None` and
#         `sample_size=-1` read all.
# Seen:   pyarrow 25.0.1, datasets 5.2.0, pandas 3.1.1, duckdb 2.0.1, polars 2.1.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==25.0.1 datasets==5.2.0 pandas==3.1.1 duckdb==2.0.1 polars==2.1.0
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf"
venv/bin/python - <<'PY'
import json
import sys

import datasets
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.json
import pyarrow.parquet

for package in (pyarrow, datasets, pandas, duckdb, polars):
    print(package.__name__, package.__version__, end="  ")
print()
ROWS = [{"video": "a.mp4"}, {"video": "b.mp4", "caption": "a dog"}]
JSON = "select * from read_json('{}'{})"
PARQUET = "select * from read_parquet('[01].parquet'{})"

with open("keys.jsonl", "w") as file:
    file.writelines(json.dumps(row) + "\n" for row in [*ROWS[:1] * 200, ROWS[1]])
with open("numbers.jsonl", "w") as file:
    file.writelines(json.dumps({"frames": number}) + "\n" for number in [*[1] * 30_000, 1.5])
for i, row in enumerate(ROWS):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), f"{i}.parquet")
files = ["0.parquet", "1.parquet"]


def last(table):
    return table.to_pylist()[-1]


lost = {
    "rows: pyarrow from_pylist": last(pyarrow.Table.from_pylist(ROWS)),
    "rows: datasets from_list": datasets.Dataset.from_list(ROWS)[-1],
    "files: pyarrow": last(pyarrow.parquet.read_table(files)),
    "files: pandas": pandas.read_parquet(files).to_dict("records")[-1],
    "files: duckdb": last(duckdb.sql(PARQUET.format("")).to_arrow_table()),
    "lines: polars": polars.read_ndjson("keys.jsonl").to_dicts()[-1],
}
whole = {
    "rows: pandas": pandas.DataFrame(ROWS).to_dict("records")[-1],
    "rows: polars": polars.DataFrame(ROWS).to_dicts()[-1],
    "files: duckdb union_by_name": last(duckdb.sql(PARQUET.format(", union_by_name=true")).to_arrow_table()),
    "lines: pyarrow": last(pyarrow.json.read_json("keys.jsonl")),
    "lines: polars, all": polars.read_ndjson("keys.jsonl", infer_schema_length=None).to_dicts()[-1],
}
numbers = {
    "number: duckdb": duckdb.sql(JSON.format("numbers.jsonl", "")).fetchall()[-1][0],
    "number: duckdb, all": duckdb.sql(JSON.format("numbers.jsonl", ", sample_size=-1")).fetchall()[-1][0],
    "number: pyarrow": pyarrow.json.read_json("numbers.jsonl")["frames"][-1].as_py(),
}
for name, row in {**lost, **whole, **numbers}.items():
    print(f"{name:28} {row}")
if any(row["caption"] != "a dog" for row in whole.values()) or list(numbers.values())[1:] != [1.5, 1.5]:
    sys.exit("CHANGED: what it is compared with does not hold")
if any("caption" in row for row in lost.values()):
    sys.exit("CHANGED: a late column is read")
if numbers["number: duckdb"] != 2:
    sys.exit("CHANGED: DuckDB reads a late 1.5 as it is")
print("HOLDS: captions that begin after the first row, file or lines are left out, and 1.5 is read as 2")
PY
