#!/usr/bin/env bash
# A Ray head that is told to be at a loopback address listens on all interfaces all the same.
#
# Guess:  ray start --head --node-ip-address=127.0.0.2 (or 127.0.0.1) keeps the node on this machine, as --host and bind
#         addresses of other servers do.
# Truth:  it is the address that other nodes are told; the GCS and the raylet's ports are bound to every interface. For
#         127.0.0.1 itself not even that: Ray puts the machine's outward address in its place, and prints it as the one
#         to join. What keeps strangers out is the token (RAY_AUTH_MODE) and a firewall.
# Seen:   ray 2.60.0, Linux
set -euo pipefail
unset PYTHONPATH RAY_ADDRESS
work=$(mktemp -d /tmp/ray-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet ray==2.60.0 psutil
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
cat > listening.py <<'PY'
import pathlib
import socket
import subprocess
import sys
import time

import psutil
import ray


def listening(ip):
    """Addresses at which the processes of a head listen, by the process's name, and what it printed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--node-ip-address={ip}"]
    command += [f"--port={port}", "--num-cpus=1", "--object-store-memory=80000000", "--include-dashboard=false"]
    command += ["--disable-usage-stats", f"--temp-dir={pathlib.Path.cwd() / ip[-1]}"]
    said = pathlib.Path(f"{ip}.log")
    with open(said, "w") as log:
        head = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 240
        while "block forever" not in said.read_text():
            if head.poll() is not None or time.monotonic() > deadline:
                sys.exit(said.read_text())
            time.sleep(1)
        found = set()
        for process in psutil.Process(head.pid).children(recursive=True):
            for one in process.net_connections("inet"):
                if one.status == psutil.CONN_LISTEN:
                    found.add((process.name(), one.laddr.ip, one.laddr.port == port))
    finally:
        head.terminate()
        head.wait()
    return found, said.read_text()


print("ray", ray.__version__)
everywhere = {"::", "0.0.0.0"}
for ip in ("127.0.0.2", "127.0.0.1"):
    found, said = listening(ip)
    [joined] = [line.partition("--address='")[2].rstrip("'") for line in said.splitlines() if "--address='" in line]
    print(f"--node-ip-address={ip}: others join at {joined}")
    for name, where, is_port in sorted(found):
        print(f"  {name} listens at {where}{' (--port)' if is_port else ''}")
    if not {where for _, where, is_port in found if is_port} & everywhere:
        sys.exit(f"CHANGED: --port is bound to {ip}, or to another single address")
print("HOLDS: it listens everywhere")
PY
venv/bin/python listening.py
