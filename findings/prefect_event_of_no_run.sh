#!/usr/bin/env bash
# An event that is emitted after a flow has ended is said to be of that flow's run.
#
# Guess:  emit_event adds the run in which it is called to an event; outside of any run there is none, and nothing is added.
# Truth:  the thread that sends events keeps the context in which it was started, and that is the first flow run of the process.
#         What is emitted outside of any run is sent with that run and that flow as related resources, even when other flows have
#         run since. So an automation with `match_related` on a flow acts on events that have nothing to do with it, and an event
#         that a program emits for something else is shown among those of its first run. Before any flow has run, and where the
#         thread was started outside of one, nothing is added; nor by the client alone (prefect.events.clients.get_events_client).
# Seen:   prefect 3.8.8
set -euo pipefail
unset PYTHONPATH PREFECT_API_URL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet prefect==3.8.8 'fastapi<0.151' 'sqlalchemy<2.1'
export PREFECT_HOME="$work/prefect" PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 PREFECT_LOGGING_LEVEL=ERROR
cat > events.py <<'PY'
import sys
import time

import prefect
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.testing.utilities import prefect_test_harness

NAMES = ("early", "in-first", "in-second", "late")


def said(name):
    emit_event(f"project.{name}", {"prefect.resource.id": f"project.{name}"})


@flow(name="first")
def first():
    said("in-first")


@flow(name="second")
def second():
    said("in-second")


def flows_of(name):
    """The flows that the server says the event is of, once it has it."""
    body = {"filter": {"event": {"name": [f"project.{name}"]}}}
    with get_client(sync_client=True) as client:
        for _ in range(240):
            if found := client._client.post("/events/filter", json=body).json()["events"]:
                related = found[0]["related"]
                return [one["prefect.resource.name"] for one in related if one["prefect.resource.role"] == "flow"]
            time.sleep(0.5)
    sys.exit(f"the server never had the event {name}")


with prefect_test_harness(server_startup_timeout=300):
    if sys.argv[1] == "started outside":
        said("early")
    first()
    second()
    said("late")
    found = {name: flows_of(name) for name in NAMES if name != "early" or sys.argv[1] == "started outside"}
print(f"prefect {prefect.__version__}, the thread was {sys.argv[1]}")
for name, flows in found.items():
    print(f"  event '{name}': of the flow {', '.join(flows) or '-'}")
if (found["in-first"], found["in-second"]) != (["first"], ["second"]):
    sys.exit("CHANGED: what it is compared with does not hold")
if found.get("early", []) or found["late"] != ([] if sys.argv[1] == "started outside" else ["first"]):
    sys.exit("CHANGED: an event outside of any run is said to be of another flow than before")
PY
for how in "started in a flow" "started outside"; do
  venv/bin/python events.py "$how" 2> err.txt || { cat err.txt >&2; exit 1; }
done
echo "HOLDS: an event after both flows is said to be of the first"
