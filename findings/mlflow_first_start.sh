#!/usr/bin/env bash
# Processes that begin at once on an empty MLflow database: most of them fail, or all.
#
# Guess:  the first to come makes the tables, the others find them, as with any database that a library sets up by itself;
#         a sweep or several ranks can start without one of them being first.
# Truth:  each process that sees no tables makes them and runs all migrations; those that come second meet half of the
#         first one's work, or the first half of theirs, and end with an error such as "duplicate column name" or
#         "Online migration expected to match one row". Of three, one or none got through.
# Seen:   mlflow 3.17.2, SQLite
set -euo pipefail
unset PYTHONPATH MLFLOW_TRACKING_URI
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2
cat > begin.py <<'PY'
import sys

from mlflow import MlflowClient

print("ready", flush=True)
sys.stdin.readline()
client = MlflowClient(tracking_uri=sys.argv[1])
client.search_experiments()
PY
venv/bin/python -W ignore - <<'PY'
import subprocess
import sys
from importlib.metadata import version

print("mlflow", version("mlflow"))


def begin(database, count):
    command = [sys.executable, "-W", "ignore", "begin.py", f"sqlite:///{database}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen(command, text=True, **pipes) for _ in range(count)]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[1].strip().splitlines() for process in started]
    for process, lines in zip(started, said):
        if process.returncode:
            print("   ", next((line for line in reversed(lines) if "Error" in line), lines[-1])[:110])
    return sum(process.returncode == 0 for process in started)


rounds = []
for number in range(3):
    rounds.append(begin(f"together{number}.db", 3))
    print(f"round {number + 1}: of 3 processes at once {rounds[-1]} could begin")
again = begin("together0.db", 3)
print(f"on a database that is there: {again} of 3")
if again != 3:
    sys.exit("CHANGED: even a database that is there is not shared")
if min(rounds) == 3:
    sys.exit("CHANGED: all begin")
print("HOLDS: an empty database is for one process")
PY
