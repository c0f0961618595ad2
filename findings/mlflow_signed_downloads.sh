#!/usr/bin/env bash
# An MLflow server that hands files through sends its clients to the bucket, although the setting for that is off.
#
# Guess:  with --artifacts-destination s3://... clients know the server alone: files come through it, as they go. Direct
#         downloads are what MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD is for, which is False.
# Truth:  where the variable is not set the client asks the server whether its store can sign addresses, and then reads the
#         file from the bucket by one. Where only the server reaches the bucket, or knows it by another name, a download
#         fails after minutes of attempts, "please ensure that the path is correct". Set to false it comes through the server;
#         set on the server it changes nothing. Small files are still written through the server.
# Seen:   mlflow 3.17.2, moto 5.2.5
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2 'moto[s3,server]==5.2.5' boto3==1.43.117
venv/bin/python - 2>warnings.txt <<'PY' || { tail -5 warnings.txt; exit 1; }
import importlib.metadata
import logging
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import boto3
import mlflow
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD as SETTING
from moto.server import ThreadedMotoServer

print("mlflow", mlflow.__version__, "moto", importlib.metadata.version("moto"))
log = logging.getLogger("werkzeug")
requests = []
log.setLevel(logging.INFO)
log.addFilter(lambda record: requests.append(record.getMessage()) and False)
store = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
store.start()
address = "http://{}:{}".format(*store.get_host_and_port())
keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": address}
boto3.client("s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="a",
             aws_secret_access_key="b").create_bucket(Bucket="bucket")
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
url = f"http://127.0.0.1:{port}"
server = subprocess.Popen(
    [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", "--backend-store-uri",
     "sqlite:///server.db", "--artifacts-destination", "s3://bucket/files"],
    env={**os.environ, **keys, SETTING.name: "false", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL, start_new_session=True)
try:
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/health")
            break
        except OSError:
            time.sleep(0.5)
    client = MlflowClient(tracking_uri=url)
    run = client.create_run("0").info.run_id
    pathlib.Path("small.txt").write_text("weights")
    requests.clear()
    client.log_artifact(run, "small.txt")
    wrote = [line for line in requests if "PUT" in line and "small.txt" in line]
    print("the setting is", SETTING.get(), "- written through the server:", not any("Signature=" in line for line in wrote))

    def signed():
        """Whether the client read the file from the bucket by a signed address."""
        requests.clear()
        path = client.download_artifacts(run, "small.txt")
        if pathlib.Path(path).read_text() != "weights":
            sys.exit("CHANGED: other bytes")
        return any("GET" in line and "X-Amz-Signature" in line for line in requests)

    unset = signed()
    os.environ[SETTING.name] = "false"
    off = signed()
    print("read from the bucket by a signed address: not set", unset, ", false", off)
finally:
    os.killpg(server.pid, 15)
    server.wait()
    store.stop()
if SETTING.default:
    sys.exit("CHANGED: the setting's default is another")
if not unset or off or not wrote or any("Signature=" in line for line in wrote):
    sys.exit("CHANGED: clients do not read from the bucket by themselves")
print("HOLDS: a setting that is False when unset is not what happens when it is unset")
PY
