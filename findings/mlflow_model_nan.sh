#!/usr/bin/env bash
# A logged model whose metric is NaN counts as 0, the best of all, in MLflow's database store.
#
# Guess:  NaN logged for a model stays NaN, and `metrics.loss < 0.5` leaves the diverged model out, as it does for runs.
# Truth:  the store keeps NaN as 0 with a flag. For runs the flag is honoured (since September 2026); for logged models
#         (mlflow.log_metric(..., model_id=)) it does not exist: the metric reads back as 0.0, matches `< 0.5` and
#         `= 0`, and ordering by the loss puts the diverged model first.
# Seen:   mlflow 3.17.2, SQLite store
# Known:  https://github.com/mlflow/mlflow/issues/25640 (runs alone)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_TRACKING_URI="sqlite:///$work/mlflow.db"
venv/bin/python - <<'PY' 2> err.txt || { cat err.txt >&2; exit 1; }
import math
import sys

import mlflow

print("mlflow", mlflow.__version__)
experiment = mlflow.set_experiment("nan").experiment_id
for name, loss in (("good", 0.3), ("diverged", math.nan), ("poor", 0.9)):
    model = mlflow.initialize_logged_model(name=name)
    mlflow.finalize_logged_model(model.model_id, "READY")
    with mlflow.start_run(run_name=name):
        mlflow.log_metric("loss", loss, model_id=model.model_id)
client = mlflow.MlflowClient()


def runs(condition):
    found = client.search_runs([experiment], condition, order_by=["metrics.loss ASC"])
    return [(run.info.run_name, run.data.metrics["loss"]) for run in found]


def models(condition):
    found = client.search_logged_models([experiment], condition, order_by=[{"field_name": "metrics.loss"}])
    return [(model.name, model.metrics[0].value) for model in found]


def best_model():
    order = [{"field_name": "metrics.loss", "ascending": True}]
    return client.search_logged_models([experiment], order_by=order)[0].name


for condition in ("metrics.loss < 0.5", "metrics.loss = 0"):
    print(condition, " runs:", runs(condition), " models:", models(condition))
print("lowest loss  run:", runs("")[0][0], " model:", best_model())
if [name for name, _ in runs("metrics.loss < 0.5")] != ["good"] or runs("")[0][0] != "good":
    sys.exit("CHANGED: runs are found by NaN too")
if ("diverged", 0.0) not in models("metrics.loss < 0.5"):
    sys.exit("CHANGED: the diverged model is not found by a low loss")
if models("metrics.loss = 0") != [("diverged", 0.0)] or best_model() != "diverged":
    sys.exit("CHANGED: the diverged model is not the best any more")
print("HOLDS: the diverged model has a loss of 0.0 and is the best one; the diverged run is not")
PY
