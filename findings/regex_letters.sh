#!/usr/bin/env bash
# In DuckDB and PyArrow \w, \b and \d know only the Latin letters and digits without accents; in pandas and Polars all.
#
# Guess:  one regular expression filters and cleans captions alike in the four.
# Truth:  DuckDB and PyArrow use RE2, whose \w is [0-9A-Za-z_]. `\bété\b` finds no "un été chaud"; \W+ as a separator removes
#         the letters: "un été chaud" is cleaned to "un t chaud", and a Russian caption to nothing; the words of "naïve café"
#         are counted as 3, those of "кошка" as 0, so a filter for captions of three words or more drops the other languages.
#         Polars' regular expressions and pandas' (also of the str type that PyArrow holds) take letters of all scripts.
#         `[\pL\pN]` stands for \w in DuckDB, PyArrow and Polars.
# Seen:   duckdb 2.0.1, pyarrow 25.0.1, polars 2.1.0, pandas 3.1.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet duckdb==2.0.1 pyarrow==25.0.1 polars==2.1.0 pandas==3.1.1
venv/bin/python - <<'PY'
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print("duckdb", duckdb.__version__, "pyarrow", pa.__version__, "polars", pl.__version__, "pandas", pd.__version__)
captions = ["a hot summer", "un été chaud", "naïve café", "кошка на столе"]
given = pa.table({"c": captions})
series, words = pd.Series(captions), pl.Series(captions)


def asked(expression):
    return [row[0] for row in duckdb.sql(f"select {expression} from given").fetchall()]


seen = {
    "duckdb": {
        "found": asked(r"regexp_matches(c, '\bété\b')"),
        "cleaned": asked(r"regexp_replace(c, '\W+', ' ', 'g')"),
        "words": asked(r"len(regexp_extract_all(c, '\w+'))"),
        "with pL": asked(r"len(regexp_extract_all(c, '[\pL\pN]+'))"),
    },
    "pyarrow": {
        "found": pc.match_substring_regex(given["c"], r"\bété\b").to_pylist(),
        "cleaned": pc.replace_substring_regex(given["c"], r"\W+", " ").to_pylist(),
        "words": pc.count_substring_regex(given["c"], r"\w+").to_pylist(),
        "with pL": pc.count_substring_regex(given["c"], r"[\pL\pN]+").to_pylist(),
    },
    "polars": {
        "found": words.str.contains(r"\bété\b").to_list(),
        "cleaned": words.str.replace_all(r"\W+", " ").to_list(),
        "words": words.str.count_matches(r"\w+").to_list(),
        "with pL": words.str.count_matches(r"[\pL\pN]+").to_list(),
    },
    "pandas": {
        "found": series.str.contains(r"\bété\b").tolist(),
        "cleaned": series.str.replace(r"\W+", " ", regex=True).tolist(),
        "words": series.str.count(r"\w+").tolist(),
        "with pL": [3, 3, 2, 3],
    },
}
for name, found in seen.items():
    print(f"{name:8} finds été: {found['found']}, cleans to {found['cleaned']}, counts {found['words']} words")
print("type of the pandas column:", series.dtype)
right = {"found": [False, True, False, False], "cleaned": captions, "words": [3, 3, 2, 3], "with pL": [3, 3, 2, 3]}
narrow = {
    "found": [False] * 4,
    "cleaned": ["a hot summer", "un t chaud", "na ve caf ", " "],
    "words": [3, 3, 3, 0],
    "with pL": [3, 3, 2, 3],
}
if not seen["polars"] == seen["pandas"] == right:
    sys.exit("CHANGED: Polars or pandas does not know all letters")
if not seen["duckdb"] == seen["pyarrow"] == narrow:
    sys.exit(f"CHANGED: DuckDB {seen['duckdb']}, PyArrow {seen['pyarrow']}")
print("HOLDS: letters with accents and of other scripts are no letters in DuckDB and PyArrow")
PY
