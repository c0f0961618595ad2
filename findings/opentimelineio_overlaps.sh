#!/usr/bin/env bash
# OpenTimelineIO's overlaps() is false for most ranges that overlap.
#
# Guess:  two time ranges of one video overlap where they have time in common, whichever is asked about the other.
# Truth:  a.overlaps(b) holds where a begins before b and ends within it. Where a begins later, has the whole of b in it or is
#         within b, begins or ends with it or is equal to it, it is false: of the 6 ways to share time 1 is found. A check that
#         no clip of the test is in the training finds few of those that are. intersects() is what one would guess.
# Seen:   opentimelineio 0.18.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet opentimelineio==0.18.1
venv/bin/python - <<'PY'
import sys

import opentimelineio
from opentimelineio.opentime import RationalTime, TimeRange

print("opentimelineio", opentimelineio.__version__)


def clip(first, last):
    return TimeRange(RationalTime(first, 24), RationalTime(last - first, 24))


train = clip(100, 200)
ways = {
    "begins before": clip(50, 150),
    "begins within": clip(150, 250),
    "contains it": clip(50, 250),
    "is within": clip(120, 180),
    "begins with it": clip(100, 150),
    "is equal": clip(100, 200),
    "is before": clip(0, 50),
    "follows": clip(200, 250),
}
found = {}
for name, test in ways.items():
    found[name] = (test.overlaps(train), train.overlaps(test), test.intersects(train))
    print(f"{name:15} test.overlaps(train) {found[name][0]!s:5}  the other way round {found[name][1]!s:5}  intersects {found[name][2]}")
pairs = [(clip(a, a + 40), clip(b, b + 60)) for a in range(0, 500, 10) for b in range(0, 500, 10)]
counts = sum(one.overlaps(other) for one, other in pairs), sum(one.intersects(other) for one, other in pairs)
print("of clips of 40 and 60 frames: overlaps", counts[0], "intersects", counts[1])
if [name for name, answers in found.items() if answers[2]] != list(ways)[:6]:
    sys.exit("CHANGED: what it is compared with does not hold")
if [name for name, answers in found.items() if answers[0]] != ["begins before"]:
    sys.exit("CHANGED: overlaps() finds other ranges")
if [name for name, answers in found.items() if answers[1]] != ["begins within"] or 2 * counts[0] > counts[1]:
    sys.exit("CHANGED: overlaps() finds other ranges the other way round")
print("HOLDS: one way of overlapping in six is found")
PY
