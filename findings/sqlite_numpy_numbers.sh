#!/usr/bin/env bash
# Numbers of NumPy go into SQLite as blobs, whatever the column's type.
#
# Guess:  sqlite3 stores numpy.int64(7) as 7, at least in a column declared INTEGER, or refuses a type that it does not know.
# Truth:  an integer of NumPy offers its bytes, so it is stored as a blob of 8 bytes, and so is numpy.float32; numpy.float64
#         is a Python float and is stored as one. A blob is greater than every number: `frames > 1000` keeps all rows, `clip =
#         1` none, sum() is 0, and a join finds nothing. As a parameter of a query it finds nothing, either. What is read from
#         an array (np.arange, array[i], an argmax) needs int() first, or one sqlite3.register_adapter for each type. DuckDB
#         refuses them.
# Seen:   numpy 2.4.6, sqlite3 of Python 3.11.7, duckdb 2.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 duckdb==2.0.1
venv/bin/python - <<'PY'
import sqlite3
import sys

import duckdb
import numpy as np

print("numpy", np.__version__, "python", sys.version.split()[0], "sqlite", sqlite3.sqlite_version, "duckdb", duckdb.__version__)
clips, frames = np.arange(3), np.array([16, 32, 64])
scores = np.array([0.2, 0.5, 0.9], np.float32)
questions = {
    "longer than 1000 frames": "select count(*) from clips where frames > 1000",
    "all frames": "select sum(frames) from clips",
    "clip 1": "select count(*) from clips where clip = 1",
    "score below 0.6": "select count(*) from clips where score < 0.6",
}
seen = {}
for name in ("numbers of NumPy", "Python's numbers"):
    base = sqlite3.connect(":memory:")
    base.execute("create table clips (clip integer, frames integer, score real)")
    for row in zip(clips, frames, scores):
        if name != "numbers of NumPy":
            row = [number.item() for number in row]
        base.execute("insert into clips values (?, ?, ?)", row)
    seen[name] = {question: base.execute(query).fetchone()[0] for question, query in questions.items()}
    kind = "typeof(clip), typeof(score)"
    print(f"{name}: {seen[name]}, types", base.execute(f"select distinct {kind} from clips").fetchall())
asked = base.execute("select count(*) from clips where clip = ?", [np.int64(1)]).fetchone()[0]
print("clips that are numpy.int64(1) among Python's numbers:", asked)
base = duckdb.connect()
base.execute("create table clips (clip integer)")
try:
    base.execute("insert into clips values (?)", [np.int64(1)])
    refused = False
except duckdb.Error as error:
    refused = True
    print("duckdb:", str(error)[:100])
right = {"longer than 1000 frames": 0, "all frames": 112, "clip 1": 1, "score below 0.6": 2}
if seen["Python's numbers"] != right:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["numbers of NumPy"] != {"longer than 1000 frames": 3, "all frames": 0, "clip 1": 0, "score below 0.6": 0} or asked:
    sys.exit("CHANGED: they are stored as other things, or a parameter finds a number")
if not refused:
    sys.exit("CHANGED: DuckDB takes them")
print("HOLDS: all clips are longer than 1000 frames, and their frames are 0 in sum")
PY
