#!/usr/bin/env bash
# In a Prefect flow with persist_result=True a task that is called again with equal arguments is not run again.
#
# Guess:  @flow(persist_result=True) keeps results, so that a retry of the flow need not repeat what was done; within one
#         run each call of a task runs it, as it does without the option.
# Truth:  with results kept, Prefect's default cache policy (inputs, task source, run id) is in force for every task of
#         the flow, also for one that asks for nothing: the second of two equal calls in one run returns the first
#         one's result. Three evaluations with another random draw each, or three appends to a file, become one.
#         cache_policy=NO_CACHE on the task runs each.
# Seen:   prefect 3.8.8
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet prefect==3.8.8 'fastapi<0.151' 'sqlalchemy<2.1'
export PREFECT_HOME="$work/prefect" PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 PREFECT_LOGGING_LEVEL=ERROR
unset PREFECT_API_URL
cat > calls.py <<'PY'
import sys

import prefect
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.testing.utilities import prefect_test_harness

calls = []


@task
def plain(name):
    calls.append(name)
    return len(calls)


@task(cache_policy=NO_CACHE)
def uncached(name):
    calls.append(name)
    return len(calls)


def thrice(step):
    calls.clear()
    return [step("evaluate") for _ in range(3)]


@flow
def forgetful():
    return thrice(plain)


@flow(persist_result=True)
def persistent():
    return thrice(plain), thrice(uncached)


print("prefect", prefect.__version__)
with prefect_test_harness(server_startup_timeout=180):
    without = forgetful()
    within, uncached_within = persistent()
print("three calls without the option:", without)
print("three calls in a flow with persist_result=True:", within, " with NO_CACHE:", uncached_within)
if without != [1, 2, 3] or uncached_within != [1, 2, 3]:
    sys.exit("CHANGED: what it is compared with does not hold")
if within != [1, 1, 1]:
    sys.exit("CHANGED: each call runs the task")
print("HOLDS: the task ran once for three calls")
PY
venv/bin/python calls.py
