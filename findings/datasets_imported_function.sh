#!/usr/bin/env bash
# Hugging Face's map and from_generator return old results after the function has been edited, if it is imported.
#
# Guess:  the cache of Dataset.map is keyed by the function, code and all: change `+ 1` to `+ 100` and it is computed anew.
# Truth:  that holds for a function of the script itself. One that is imported from a module is hashed by its name, and so is
#         one that the script's function calls: after an edit of preprocessing.py a new process gets the rows that the old
#         code made. from_generator(module.rows) likewise. So the cache is right until functions are moved to a module,
#         and nothing is said. load_from_cache_file=False or another new_fingerprint computes anew.
# Seen:   datasets 5.2.0, dill 0.4.1
# Known:  https://github.com/huggingface/datasets/issues/3297 (map)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0
venv/bin/python - <<'PY'
import json
import os
import pathlib
import subprocess
import sys

own = """
import datasets, json, sys
import preprocessing
datasets.disable_progress_bars()
def local(row): return {"y": row["x"] + ADDED}
def calling(row): return preprocessing.added(row)
table = datasets.load_dataset("json", data_files="rows.jsonl", split="train")
seen = {name: list(table.map(way)["y"]) for name, way in
        (("local", local), ("imported", preprocessing.added), ("calling", calling))}
seen["generator"] = list(datasets.Dataset.from_generator(preprocessing.rows)["x"])
seen["anew"] = list(table.map(preprocessing.added, load_from_cache_file=False)["y"])
print(json.dumps(seen))
"""
module = """
def added(row): return {"y": row["x"] + ADDED}
def rows(): yield {"x": ADDED}
"""
pathlib.Path("rows.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
environment = os.environ | {"HF_HOME": str(pathlib.Path("cache").resolve()), "PYTHONDONTWRITEBYTECODE": "1"}


def process(added):
    """What a new process sees with this number in both files."""
    pathlib.Path("preprocessing.py").write_text(module.replace("ADDED", str(added)))
    pathlib.Path("script.py").write_text(own.replace("ADDED", str(added)))
    ran = subprocess.run([sys.executable, "script.py"], env=environment, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


import datasets  # noqa: E402

print("datasets", datasets.__version__)
first, second = process(1), process(100)
for name in first:
    print(f"{name:10} before the edit {first[name]!s:10} after it {second[name]}")
if second["local"] != [101, 102] or second["anew"] != [101, 102] or first["imported"] != [2, 3]:
    sys.exit("CHANGED: what it is compared with does not hold")
if second["imported"] != [2, 3] or second["calling"] != [2, 3]:
    sys.exit("CHANGED: an imported function's code is part of the key")
if second["generator"] != [1]:
    sys.exit("CHANGED: an imported generator's code is part of the key")
print("HOLDS: edited code, old rows")
PY
