#!/usr/bin/env bash
# mlflow.load_table makes numbers of the text that mlflow.log_table wrote.
#
# Guess:  a table logged by mlflow.log_table comes back from load_table: ids "007" and "7" stay two texts, as they are in the artefact.
# Truth:  load_table reads the JSON by pandas.read_json with its own ideas of types: both are the integer 7, two ids of 20 digits are one
#         float, and numbers in a column whose name ends in _at or begins with timestamp are dates. A second log_table to the
#         same file reads, appends and writes the rows that way, so that the artefact itself holds 7 from then on, and
#         what was two clips is one for whoever reads it. With a name that ends in .parquet all is as it was.
# Seen:   mlflow 3.17.2, pandas 3.1.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2 pandas==3.1.1 pyarrow==25.0.1 numpy==2.4.6
venv/bin/python - <<'PY'
import json
import logging
import os
import sys
import warnings

import mlflow
import pandas as pd

print("mlflow", mlflow.__version__, "pandas", pd.__version__)
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
logging.disable(logging.INFO)
mlflow.set_tracking_uri(f"sqlite:///{os.getcwd()}/mlflow.db")
mlflow.set_experiment("tables")
table = {"clip": ["007", "7"], "hash": ["12345678901234567891", "12345678901234567892"], "seen_at": [45_000_000, 46_000_000]}


def listed(frame):
    return {name: [str(value) if hasattr(value, "year") else value for value in frame[name].tolist()] for name in table}


with mlflow.start_run() as run, warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    mlflow.log_table(table, "clips.json")
    mlflow.log_table(table, "clips.parquet")
    first = json.load(open(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="clips.json")))["data"]
    back = listed(mlflow.load_table("clips.json", run_ids=[run.info.run_id]))
    exact = listed(mlflow.load_table("clips.parquet", run_ids=[run.info.run_id]))
    mlflow.log_table({"clip": ["x"], "hash": ["y"], "seen_at": [47_000_000]}, "clips.json")
    second = json.load(open(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="clips.json")))["data"]
print("logged:            ", table)
print("in the artefact:   ", first)
print("load_table:        ", back)
print("load_table, Parquet:", exact)
print("in the artefact after a row was added:", second)
about = [str(entry.message)[:200] for entry in warned if any(word in str(entry.message) for word in ("read_json", "convert", "numeric", "precision"))]
print("warnings about it:", about)
if exact != table or [row[:2] for row in first] != [["007", table["hash"][0]], ["7", table["hash"][1]]]:
    sys.exit("CHANGED: what it is compared with does not hold")
if back["clip"] != [7, 7] or len(set(back["hash"])) != 1 or about:
    sys.exit("CHANGED: text comes back as text, or it is spoken of")
if [row[0] for row in second[:2]] != [7, 7]:
    sys.exit("CHANGED: adding a row keeps the rows before it")
print("HOLDS: two ids are one number, in the artefact, too, once a row was added")
PY
