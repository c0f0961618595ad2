#!/usr/bin/env bash
# A client of one MLflow store looks a model up in another.
#
# Guess:  MlflowClient(tracking_uri=A, registry_uri=A) asks A. With a model that it has just made there,
#         create_model_version(name, source, model_id=...) registers it.
# Truth:  for a model that belongs to no run, a database store asks the process's default store for it: "not found", and
#         an mlflow.db appears in the current folder. Where MLFLOW_TRACKING_URI names A, or model_id is left out, it is
#         registered; through a server it must not be left out.
# Seen:   mlflow 3.17.2
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2
venv/bin/python - 2>warnings.txt <<'PY' || { tail -5 warnings.txt; exit 1; }
import os
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

print("mlflow", mlflow.__version__)
own = f"sqlite:///{os.getcwd()}/own.db"
client = MlflowClient(tracking_uri=own, registry_uri=own)
experiment = client.create_experiment("x", artifact_location=f"{os.getcwd()}/files")
model = client.create_logged_model(experiment, name="m")
client.finalize_logged_model(model.model_id, "READY")
client.create_registered_model("r")
if client.get_logged_model(model.model_id).model_id != model.model_id:
    sys.exit("CHANGED: the model is not in the client's store")
before = sorted(name for name in os.listdir() if name.endswith(".db"))
try:
    client.create_model_version("r", model.artifact_location, model_id=model.model_id)
    sys.exit("CHANGED: the client's own store is asked")
except MlflowException as error:
    print(error.error_code, str(error).replace(model.model_id, "ID"))
    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
        sys.exit("CHANGED: another error")
after = sorted(name for name in os.listdir() if name.endswith(".db"))
print("databases before:", before, " after:", after)
if after != ["mlflow.db", "own.db"]:
    sys.exit("CHANGED: no database was made")
print("without model_id: version", client.create_model_version("r", model.artifact_location).version)
mlflow.set_tracking_uri(own)
print("where the default is the same: version",
      client.create_model_version("r", model.artifact_location, model_id=model.model_id).version)
print("HOLDS: a client of its own store was told that its model is not found")
PY
