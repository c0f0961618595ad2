#!/usr/bin/env bash
# orjson writes a missing time of NumPy as a time in the year 1677.
#
# Guess:  with OPT_SERIALIZE_NUMPY a NaT becomes null, as NaN does, or is refused, as pandas' NaT is.
# Truth:  NaT is the least 64-bit integer and is written as that many nanoseconds: "1677-09-21T00:12:43.145224", which whatever
#         reads the file takes for an ordinary time, and which comes first in any order. In microseconds and coarser units
#         it is refused. NaN of the same call is null. pandas' to_json writes null.
# Seen:   orjson 3.13.0, numpy 2.4.6, pandas 3.1.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet orjson==3.13.0 numpy==2.4.6 pandas==3.1.1
venv/bin/python - <<'PY'
import datetime
import json
import sys

import numpy as np
import orjson
import pandas as pd

print("orjson", orjson.__version__, "numpy", np.__version__, "pandas", pd.__version__)
clips = pd.DataFrame({"recorded": pd.to_datetime(["2026-03-01 12:00", None]).astype("datetime64[ns]"), "score": [0.5, None]})
rows = {name: clips[name].to_numpy() for name in clips}
written = orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY).decode()
single = orjson.dumps(rows["recorded"][1], option=orjson.OPT_SERIALIZE_NUMPY).decode()
print("orjson", written, "one alone", single)
print("pandas", clips.to_json(date_format="iso"))
for unit in ("us", "ms", "s"):
    try:  # refused in 3.13.0
        print(unit, orjson.dumps(np.array(["NaT"], f"datetime64[{unit}]"), option=orjson.OPT_SERIALIZE_NUMPY).decode())
    except TypeError as error:
        print(unit, type(error).__name__, error)
try:
    orjson.dumps(pd.NaT)
    refused = False
except TypeError as error:
    refused = True
    print("pandas' NaT:", error)
if json.loads(clips.to_json(date_format="iso"))["recorded"]["1"] is not None or json.loads(written)["score"] != [0.5, None] or not refused:
    sys.exit("CHANGED: what it is compared with does not hold")
missing = json.loads(written)["recorded"][1]
if missing is None or datetime.datetime.fromisoformat(missing).year != 1677 or json.loads(single) != missing:
    sys.exit("CHANGED: a missing time is written otherwise")
print("HOLDS: the missing time is", missing)
PY
