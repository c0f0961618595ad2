#!/usr/bin/env bash
# Hugging Face's numpy format gives a float64 column as float32 in batches and in lists, and as float64 row by row.
#
# Guess:  with_format("numpy") gives each column in the type of its feature: float64 as float64, whether one row is asked for or
#         a slice (torch's float32 is a choice of torch).
# Truth:  single numbers of a row are exact; slices, batches (iter, map(batched=True)) and lists within a row are float32. A time
#         of 1 764 412 345.25 s is 1 764 412 288 in the slice, a minute earlier, and consecutive frames have one time. A map in
#         this format writes the rounded numbers back into a float64 column. int64, "pandas", "polars" and "arrow" keep
#         theirs; with_format("numpy", dtype=numpy.float64) helps, and casts the integers, too.
# Seen:   datasets 5.2.0, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import datasets
import numpy as np

print("datasets", datasets.__version__, "numpy", np.__version__)
datasets.disable_progress_bars()
exact = [1764412345.25, 1764412345.29]
table = datasets.Dataset.from_dict({"time": exact, "span": [exact, exact], "frame": [2**53 - 1, 7]})
rows = table.with_format("numpy")
copied = rows.map(lambda batch: {"copy": batch["time"], "time": batch["time"]}, batched=True)
seen = {
    "feature": str(table.features["time"].dtype),
    "row": (str(rows[0]["time"].dtype), [float(rows[n]["time"]) for n in range(2)]),
    "slice": (str(rows[:]["time"].dtype), [float(time) for time in rows[:]["time"]]),
    "list": (str(rows[0]["span"].dtype), [float(time) for time in rows[0]["span"]]),
    "mapped": (str(copied.features["time"].dtype), list(copied.with_format(None)["time"])),
    "integers": (str(rows[:]["frame"].dtype), [int(frame) for frame in rows[:]["frame"]]),
    "pandas": (str(table.with_format("pandas")[:]["time"].dtype), table.with_format("pandas")[:]["time"].tolist()),
    "asked": (str(table.with_format("numpy", dtype=np.float64)[:]["time"].dtype), exact),
}
for name, what in seen.items():
    print(f"{name:9} {what}")
if seen["row"] != ("float64", exact) or seen["pandas"][1] != exact or seen["asked"][0] != "float64":
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["integers"] != ("int64", [2**53 - 1, 7]):
    sys.exit("CHANGED: integers are narrowed too")
if any(seen[name] != ("float32", [1764412288.0, 1764412288.0]) for name in ("slice", "list")):
    sys.exit("CHANGED: slices or lists keep float64")
if seen["mapped"] != ("float64", [1764412288.0, 1764412288.0]):
    sys.exit("CHANGED: map writes other numbers")
print("HOLDS: two times a frame apart are one, a minute early")
PY
