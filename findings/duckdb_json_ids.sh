#!/usr/bin/env bash
# DuckDB rewrites text ids of JSON that look like a UUID: capitals become small letters.
#
# Guess:  a quoted id of JSON is text and stays as it is written: "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11".
# Truth:  where all texts of a key look like UUIDs, the column is a UUID, whose text is in small letters. Written out again to
#         JSON, CSV or Parquet the ids are others than those in the names of the files and in every other table; capitals are
#         what Windows, macOS and many APIs write. Python is given uuid.UUID objects, which equal no text. In the same way
#         "12:30" becomes a time of the day. CSV leaves ids alone, and one id of another form leaves all as they are.
#         `columns={'id': 'VARCHAR'}` keeps them; pandas, Polars and PyArrow do anyway.
# Seen:   duckdb 2.0.1, polars 2.1.0, pyarrow 25.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet duckdb==2.0.1 polars==2.1.0 pyarrow==25.0.1
venv/bin/python - <<'PY'
import json
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.json

print("duckdb", duckdb.__version__, "polars", pl.__version__, "pyarrow", pa.__version__)
ids = [f"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A1{i}" for i in range(4)]
rows = [{"id": name, "start": "07:05:00", "clock": "12:30", "caption": f"cat {i}"} for i, name in enumerate(ids)]
Path("clips.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
Path("clips.csv").write_text("id,caption\n" + "".join(f"{row['id']},{row['caption']}\n" for row in rows))
Path("mixed.jsonl").write_text("\n".join(map(json.dumps, [*rows, {**rows[0], "id": "clip 5"}])) + "\n")
types = duckdb.sql("select typeof(id), typeof(start), typeof(clock) from 'clips.jsonl' limit 1").fetchall()[0]
read = {
    "duckdb": duckdb.sql("select id from 'clips.jsonl'").fetchall()[0][0],
    "duckdb, written again": None,
    "duckdb, columns=": duckdb.sql("select id from read_json('clips.jsonl', columns={'id': 'VARCHAR'})").fetchall()[0][0],
    "duckdb, of CSV": duckdb.sql("select id from 'clips.csv'").fetchall()[0][0],
    "duckdb, one other id": duckdb.sql("select id from 'mixed.jsonl'").fetchall()[0][0],
    "polars": pl.read_ndjson("clips.jsonl")["id"][0],
    "pyarrow": pa.json.read_json("clips.jsonl")["id"][0].as_py(),
}
duckdb.sql("copy (select id, caption from 'clips.jsonl') to 'again.csv'")
read["duckdb, written again"] = Path("again.csv").read_text().split("\n")[1].split(",")[0]
print("types of id, start and clock:", types)
for name, value in read.items():
    print(f"{name:22} {value!r}")
known = pl.DataFrame({"id": ids})
joined = duckdb.sql("select count(*) from known join 'again.csv' again on known.id = again.id").fetchall()[0][0]
print("ids found again:", joined, "of 4")
if any(read[name] != ids[0] for name in ("duckdb, columns=", "duckdb, one other id", "polars", "pyarrow")):
    sys.exit("CHANGED: what it is compared with does not hold")
if types[0] != "UUID" or read["duckdb, written again"] != ids[0].lower() or joined:
    sys.exit("CHANGED: ids stay as they are written")
print("HOLDS: ids are written back in small letters")
PY
