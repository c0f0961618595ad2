#!/usr/bin/env bash
# The digest by which MLflow tells datasets apart does not look at most of the data.
#
# Guess:  mlflow.data.from_pandas, from_numpy and from_huggingface give a dataset a digest, log_input writes it into the run, and
#         two runs with one digest were trained on the same data.
# Truth:  of an array the first 10 000 numbers count, which is less than one frame of 64 x 64 in colour: videos that differ from
#         the second frame on have one digest, and captions changed in row 10 001 too. Among the first rows a column of text
#         counts only if no value is missing, and one of booleans, lists or times never. from_polars looks at all rows. A
#         digest of one's own (digest=...) is taken as it is.
# Seen:   mlflow 3.17.2, pandas 3.1.1, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2 pandas==3.1.1 numpy==2.4.6 polars==2.1.0
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_TRACKING_URI="sqlite:///$work/mlflow.db"
venv/bin/python -W ignore - <<'PY' 2> err.txt || { cat err.txt >&2; exit 1; }
import sys

import mlflow
import numpy as np
import pandas as pd
import polars as pl

print("mlflow", mlflow.__version__, "pandas", pd.__version__, "numpy", np.__version__)
videos = np.random.default_rng(0).integers(0, 256, (4, 16, 64, 64, 3), dtype=np.uint8)
first_frame_only, other_start = videos.copy(), videos.copy()
first_frame_only.reshape(-1)[64 * 64 * 3 :] = 0
other_start[0, 0, 0, 0, 0] ^= 1

clips = pd.DataFrame({"caption": [f"clip {number}" for number in range(20_000)], "frames": 17})
late, early, rows = clips.copy(), clips.copy(), clips.iloc[:-1]
late.loc[10_000:, "caption"] = "something else"
early.loc[5, "caption"] = "something else"


def few(captions, **more):
    return pd.DataFrame({"frames": [17, 17, 17], "caption": captions, **more})


def digest(data):
    makers = {np.ndarray: mlflow.data.from_numpy, pd.DataFrame: mlflow.data.from_pandas, pl.DataFrame: mlflow.data.from_polars}
    return makers[type(data)](data).digest


pairs = {
    "array, first number": (videos, other_start),
    "array, all but the first frame": (videos, first_frame_only),
    "table, row 5": (clips, early),
    "table, one row less": (clips, rows),
    "table, rows from 10 000 on": (clips, late),
    "polars, rows from 10 000 on": (pl.DataFrame(clips.to_dict("list")), pl.DataFrame(late.to_dict("list"))),
    "captions": (few(["a", "b", "c"]), few(["x", "y", "z"])),
    "captions, one missing": (few(["a", "b", None]), few(["x", "y", None])),
    "booleans": (few(["a"] * 3, held_out=[True, False, False]), few(["a"] * 3, held_out=[False, True, True])),
    "lists": (few(["a"] * 3, tags=[["cat"], [], []]), few(["a"] * 3, tags=[["dog"], [], []])),
}
same = {}
for name, (one, other) in pairs.items():
    same[name] = digest(one) == digest(other)
    print(f"{name:32} {'one digest' if same[name] else 'two digests'}")
told = {"array, first number", "table, row 5", "table, one row less", "polars, rows from 10 000 on", "captions"}
with mlflow.start_run() as run:
    mlflow.log_input(mlflow.data.from_numpy(videos), context="training")
(logged,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
print("the run's input has", logged.dataset.digest, "as have the videos without their later frames:", digest(first_frame_only))
if any(same[name] for name in told):
    sys.exit("CHANGED: what it is compared with does not hold")
unlike = [name for name in same if name not in told and not same[name]]
if unlike:
    sys.exit(f"CHANGED: two digests: {', '.join(unlike)}")
if logged.dataset.digest != digest(first_frame_only):
    sys.exit("CHANGED: log_input writes another digest")
print("HOLDS: datasets that differ almost everywhere have one digest")
PY
