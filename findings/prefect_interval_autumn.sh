#!/usr/bin/env bash
# An hourly interval of Prefect misses an hour when clocks are set back.
#
# Guess:  an IntervalSchedule of less than a day fires at every interval, whatever the time zone: "an hourly schedule will fire
#         every UTC hour, even across DST boundaries ... two runs that appear to both be scheduled for 1am local time" is what
#         its documentation says. (That of cron says that cron pauses.)
# Truth:  with a zone whose clocks change, the hour that comes twice has one run: two hours pass between 02:00+02:00 and 03:00+01:00
#         in Berlin, and every other interval of one hour or less leaves out the same runs. In UTC none is missing.
# Seen:   prefect 3.8.8
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet prefect==3.8.8 'fastapi<0.151' 'sqlalchemy<2.1'
export PREFECT_HOME="$work/prefect" DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
venv/bin/python - <<'PY'
import asyncio
import sys
from datetime import datetime, timedelta, timezone

import prefect
from prefect.server.schemas.schedules import IntervalSchedule

print("prefect", prefect.__version__)
anchor, evening = datetime(2026, 10, 1, tzinfo=timezone.utc), datetime(2026, 10, 24, 22, tzinfo=timezone.utc)


def pauses(minutes, zone):
    """Minutes between the runs of the night in which clocks are set back (25 October, 01:00 UTC)."""
    schedule = IntervalSchedule(interval=timedelta(minutes=minutes), anchor_date=anchor, timezone=zone)
    times = asyncio.run(schedule.get_dates(12, evening))
    return [int((later - time).total_seconds() // 60) for time, later in zip(times, times[1:])]


if "fire every UTC hour" not in " ".join(IntervalSchedule.__doc__.split()).replace("schedule will ", ""):
    sys.exit("CHANGED: the documentation says something else")
for zone in ("UTC", "Europe/Berlin"):
    print(f"{zone:16}", {minutes: pauses(minutes, zone) for minutes in (60, 30)})
if set(pauses(60, "UTC")) != {60} or set(pauses(30, "UTC")) != {30} or set(pauses(180, "Europe/Berlin")) != {180}:
    sys.exit("CHANGED: what it is compared with does not hold")
if set(pauses(60, "Europe/Berlin")) == {60}:
    sys.exit("CHANGED: an hourly schedule fires every hour")
if sorted(pauses(60, "Europe/Berlin"))[-2:] != [60, 120] or sorted(pauses(30, "Europe/Berlin"))[-2:] != [30, 90]:
    sys.exit("CHANGED: other runs are missing")
print("HOLDS: two hours pass between two runs of an hourly interval")
PY
