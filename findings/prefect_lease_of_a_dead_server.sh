#!/usr/bin/env bash
# A place under a Prefect concurrency limit whose lease has run out stays taken for ever, if the server was restarted meanwhile.
#
# Guess:  concurrency(..., lease_duration=60) is there so that a process that dies gives its place back after a minute; the server
#         keeps its records in a database, so a restart of the server changes nothing about that.
# Truth:  the count of taken places is in the database, but who holds them until when is kept in the server's memory by default. A
#         server that starts again finds one place taken and no lease that could run out, and nothing corrects the count: a machine
#         that reboots in the middle of a training leaves a limit of 1 full. Where the server keeps leases in files
#         (PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=prefect.server.concurrency.lease_storage.filesystem) the place is free again.
# Seen:   prefect 3.8.8
set -euo pipefail
unset PYTHONPATH PREFECT_API_URL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet prefect==3.8.8 'fastapi<0.151' 'sqlalchemy<2.1'
export PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 PREFECT_LOGGING_LEVEL=ERROR PREFECT_LOGGING_SERVER_LEVEL=ERROR
cat > places.py <<'PY'
import os
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import prefect

HOLDER = """
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
import time
with get_client(sync_client=True) as client:
    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="gpu", limit=1))
with concurrency("gpu", lease_duration=60, strict=True):
    print("holds it", flush=True)
    time.sleep(600)
"""
TAKEN = """
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(client.read_global_concurrency_limit_by_name("gpu").active_slots)
"""


def start(port, env):
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(240):
        try:
            urllib.request.urlopen(env["PREFECT_API_URL"] + "/health", timeout=5)
            return server
        except OSError:
            time.sleep(1)
    sys.exit("the server did not come up")


def end(process):
    process.kill()
    process.wait()


def taken(env):
    return float(subprocess.run([sys.executable, "-c", TAKEN], env=env, check=True, capture_output=True, text=True).stdout)


def after(storage, restart):
    """Places that are taken two minutes after their holder was killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "PREFECT_HOME": f"{os.getcwd()}/{storage}-{restart}", "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
           "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": f"prefect.server.concurrency.lease_storage.{storage}"}
    server = start(port, env)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "holds it\n"
        before = taken(env)
        end(holder)
        if restart:
            end(server)
            server = start(port, env)
        time.sleep(120)
        return before, taken(env)
    finally:
        end(holder)
        end(server)


print("prefect", prefect.__version__)
cases = [("memory", False), ("memory", True), ("filesystem", True)]
with ThreadPoolExecutor() as pool:
    found = dict(zip(cases, pool.map(lambda case: after(*case), cases)))
for (storage, restart), (before, now) in found.items():
    what = "restarted meanwhile" if restart else "left alone"
    print(f"leases in {storage:10}, server {what:19}: taken {before:.0f}, two minutes after the holder was killed {now:.0f}")
if found["memory", False] != (1, 0) or found["filesystem", True] != (1, 0):
    sys.exit("CHANGED: what it is compared with does not hold")
if found["memory", True] != (1, 1):
    sys.exit("CHANGED: the place is free again")
print("HOLDS: with leases in memory, which is the default, a restart of the server loses the place")
PY
venv/bin/python places.py
