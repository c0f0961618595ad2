#!/usr/bin/env bash
# to_frames() of OpenTimelineIO cuts off: a time that was written and read again is often the frame before.
#
# Guess:  the start of frame n in seconds, read with from_seconds, is frame n; in whole milliseconds, as annotations and subtitles have
#         it, it is the nearest frame.
# Truth:  to_frames() is int(): of 1.16 * 25 = 28.999999999999996 it makes 28. Of 3000 frames 144 are one too early at 25 a second and
#         47 at 30 by seconds in double precision; by milliseconds 1000 at 24 and at 30, and by to_time_string, its own text, 2000
#         of them. Timecode, and the nearest whole number of .value, give each frame back.
# Seen:   opentimelineio 0.18.1. Known for seconds: issue 1742 of AcademySoftwareFoundation/OpenTimelineIO.
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
from opentimelineio.opentime import RationalTime, from_seconds, from_time_string, from_timecode

print("opentimelineio", opentimelineio.__version__)
frames = range(3000)
ways = {
    "seconds": lambda number, rate: from_seconds(RationalTime(number, rate).to_seconds(), rate),
    "milliseconds": lambda number, rate: RationalTime(round(1000 * number / rate), 1000).rescaled_to(rate),
    "time string": lambda number, rate: from_time_string(RationalTime(number, rate).to_time_string(), rate),
    "timecode": lambda number, rate: from_timecode(RationalTime(number, rate).to_timecode(), rate),
}
early = {}
for name, way in ways.items():
    for rate in (24, 25, 30):
        back = [way(number, rate) for number in frames]
        found = [time.to_frames() for time in back]
        if [round(time.value) for time in back] != list(frames) or not all(number - 1 <= other <= number for number, other in zip(frames, found)):
            sys.exit("CHANGED: what it is compared with does not hold")
        wrong = [number for number, other in zip(frames, found) if other != number]
        early[name, rate] = len(wrong)
        print(f"{name:12} at {rate}: {len(wrong):4} of {len(frames)} one frame early {wrong[:5]}")
if any(early["timecode", rate] for rate in (24, 25, 30)):
    sys.exit("CHANGED: what it is compared with does not hold")
if early["seconds", 25] < 100 or early["milliseconds", 24] < 900 or early["time string", 24] < 1500:
    sys.exit("CHANGED: frames come back")
print("HOLDS: of 3000 frames", early["milliseconds", 24], "come back as the one before")
PY
