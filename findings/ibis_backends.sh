#!/usr/bin/env bash
# One expression of Ibis has other values on DuckDB than on Polars.
#
# Guess:  Ibis is one language for dataframes: `caption.length()`, `nunique()`, `cast("int64")`, `%` and the difference of two
#         days mean one thing, or a backend that cannot do it says so, as it does for others.
# Truth:  on Polars length() counts bytes ("Été chaud" 11, on DuckDB 9), nunique() counts the missing value, a cast to an integer
#         cuts off (DuckDB rounds: 1.5 is 2), -7 % 3 is 2 (DuckDB: -1), round() goes to the even number (DuckDB: away
#         from 0), uint8 wraps (200 + 100 is 44), and a difference of days is a number of microseconds. No warning.
# Seen:   ibis-framework 12.0.0, duckdb 2.0.1, polars 2.1.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet "ibis-framework[duckdb,polars]==12.0.0" duckdb==2.0.1 polars==2.1.0 pandas==3.1.1 pyarrow==25.0.1
venv/bin/python -W ignore - <<'PY'
import sys

import duckdb
import ibis
import pandas as pd
import polars as pl

print("ibis", ibis.__version__, "duckdb", duckdb.__version__, "polars", pl.__version__)
clips = pd.DataFrame({
    "number": [-7, 5],
    "caption": ["Été chaud", "a cat"],
    "source": ["a", None],
    "seconds": [1.5, 2.5],
    "recorded": pd.to_datetime(["2024-01-07", "2024-01-08"]),
})
clips.to_parquet("clips.parquet")
questions = {
    "caption.length()": lambda table: table.caption.length(),
    'seconds.cast("int64")': lambda table: table.seconds.cast("int64"),
    "seconds.round()": lambda table: table.seconds.round(),
    "number % 3": lambda table: table.number % 3,
    "uint8 200 + 100": lambda table: ibis.literal(200, type="uint8") + ibis.literal(100, type="uint8"),
    "days since 2024-01-01": lambda table: (table.recorded.date() - ibis.date("2024-01-01")).cast("int64"),
    "number // 2": lambda table: table.number // 2,
}
seen = {"duckdb": {}, "polars": {}}
for backend, answers in seen.items():
    table = getattr(ibis, backend).connect().read_parquet("clips.parquet")
    for name, question in questions.items():
        answers[name] = table.order_by("number").select(answer=question(table)).execute()["answer"].tolist()
    answers["source.nunique()"] = int(table.source.nunique().execute())
for name, answer in seen["duckdb"].items():
    print(f"{name:22} DuckDB {answer}, Polars {seen['polars'][name]}")
if seen["duckdb"].pop("number // 2") != seen["polars"].pop("number // 2") or seen["duckdb"]["caption.length()"] != [9, 5]:
    sys.exit("CHANGED: what it is compared with does not hold")
equal = [name for name, answer in seen["duckdb"].items() if answer == seen["polars"][name]]
if equal or seen["polars"]["caption.length()"] != [11, 5]:
    sys.exit(f"CHANGED: other answers, or equal ones: {equal}")
print("HOLDS: seven of eight expressions differ")
PY
