#!/usr/bin/env bash
# Captions that look like dates become timestamps, and then other texts.
#
# Guess:  a quoted value of JSON is text. "2021-05-01" comes back as "2021-05-01".
# Truth:  where all values of a file's column look like dates, PyArrow's JSON reader makes timestamps of them, and with it
#         `load_dataset("json")` and the metadata.jsonl of `imagefolder`. Beside a file whose captions are words, the dates
#         come back as other text ("2021-05-01 00:00:00") if the words come first, and the load fails if the dates do.
#         `features=` with a string makes that other text of them, too. DuckDB reads dates; Polars and pandas read text.
# Seen:   datasets 5.2.0, pyarrow 25.0.1, duckdb 2.0.1, polars 2.1.0, pandas 3.1.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pandas==3.1.1 pyarrow==25.0.1 duckdb==2.0.1 polars==2.1.0 pillow==13.0.0
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" HF_DATASETS_DISABLE_PROGRESS_BARS=1
venv/bin/python - <<'PY' 2> errors.txt || { cat errors.txt >&2; exit 1; }
import json
import os
import sys

import datasets
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.json
from PIL import Image

for package in (datasets, pyarrow, duckdb, polars, pandas):
    print(package.__name__, package.__version__, end="  ")
print()
DATES, WORDS = ["2021-05-01", "1999-12-31"], ["a dog", "a cat"]


def write(path, captions, key="video", suffix="mp4"):
    with open(path, "w") as file:
        file.writelines(json.dumps({key: f"{i}.{suffix}", "caption": c}) + "\n" for i, c in enumerate(captions))


write("dates.jsonl", DATES)
write("words.jsonl", WORDS)
os.mkdir("pictures")
for i in range(2):
    Image.new("RGB", (8, 8)).save(f"pictures/{i}.png")
write("pictures/metadata.jsonl", DATES, "file_name", "png")


def loaded(*args, **options):
    return list(datasets.load_dataset(*args, split="train", **options)["caption"])


text = datasets.Features({"video": datasets.Value("string"), "caption": datasets.Value("string")})
alone = {
    "pyarrow.json": pyarrow.json.read_json("dates.jsonl")["caption"].to_pylist(),
    "datasets json": loaded("json", data_files="dates.jsonl"),
    "datasets imagefolder": loaded("imagefolder", data_dir="pictures"),
    "duckdb": [row[0] for row in duckdb.sql("select caption from 'dates.jsonl'").fetchall()],
}
kept = {
    "polars": polars.read_ndjson("dates.jsonl")["caption"].to_list(),
    "pandas": pandas.read_json("dates.jsonl", lines=True)["caption"].tolist(),
}
as_text = loaded("json", data_files="dates.jsonl", features=text)
after_words = loaded("json", data_files=["words.jsonl", "dates.jsonl"])
try:
    before_words = loaded("json", data_files=["dates.jsonl", "words.jsonl"])
except Exception as error:
    before_words = f"{type(error).__name__}"
others = {"datasets json, features=": as_text, "words, then dates": after_words, "dates, then words": before_words}
for name, values in {**alone, **kept, **others}.items():
    print(f"{name:26} {values}")
if any(values != DATES for values in kept.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(isinstance(values[0], str) for values in alone.values()):
    sys.exit("CHANGED: a quoted date stays text")
if as_text == DATES or after_words == WORDS + DATES or isinstance(before_words, list):
    sys.exit("CHANGED: dates beside words stay text")
print("HOLDS: quoted dates become timestamps; as strings or after words they are other texts, before words the load fails")
PY
