#!/usr/bin/env bash
# Arithmetic of the package timecode is off by a frame, and its seconds by 3.6 an hour at 29.97.
#
# Guess:  10 s and 10 s are 20 s, a timecode's seconds are its place (01:00:00:00 at 24 frames a second: 3600), and
#         start_seconds is the inverse of that.
# Truth:  a timecode is its number of frames from 1, and sums are made of that: 00:00:10:00 + 00:00:10:00 is 00:00:20:01,
#         00:00:10:00 - 00:00:05:00 is 00:00:04:23, .float of the first frame is that of the second, and start_seconds=10 is
#         00:00:09:23; an integer is added right. At 29.97 start_seconds counts 30 frames a second: that of an hour is
#         01:00:03;17, 3.6 s too late. OpenTimelineIO is as one would guess.
# Seen:   timecode 1.5.1, opentimelineio 0.18.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet timecode==1.5.1 opentimelineio==0.18.1
venv/bin/python - <<'PY'
import sys

import opentimelineio
import timecode
from opentimelineio.opentime import from_seconds, from_timecode, to_timecode
from timecode import Timecode

print("timecode", timecode.__version__, "opentimelineio", opentimelineio.__version__)
ten, five = Timecode("24", "00:00:10:00"), Timecode("24", "00:00:05:00")
seen = {
    "10 s + 10 s": str(ten + ten),
    "10 s - 5 s": str(ten - five),
    "10 s + 5 frames": str(ten + 5),
    "at 10 s": str(Timecode("24", start_seconds=10)),
    "at an hour of 29.97": str(Timecode("29.97", start_seconds=3600)),
}
first = Timecode("24", "00:00:00:00").float
ntsc = 30000 / 1001
otio = {
    "10 s + 10 s": to_timecode(from_timecode("00:00:10:00", 24) + from_timecode("00:00:10:00", 24)),
    "10 s - 5 s": to_timecode(from_timecode("00:00:10:00", 24) - from_timecode("00:00:05:00", 24)),
    "at 10 s": to_timecode(from_seconds(10, 24)),
    "at an hour of 29.97": to_timecode(from_seconds(3600, ntsc), ntsc),
}
for name, value in seen.items():
    print(f"{name:20} timecode {value}  opentimelineio {otio.get(name, '')}")
print("seconds of 00:00:00:00: timecode", first, "opentimelineio", from_timecode("00:00:00:00", 24).to_seconds())
if list(otio.values()) != ["00:00:20:00", "00:00:05:00", "00:00:10:00", "01:00:00;00"]:
    sys.exit("CHANGED: what it is compared with does not hold")
if list(seen.values()) != ["00:00:20:01", "00:00:04:23", "00:00:10:05", "00:00:09:23", "01:00:03;17"] or round(first * 24) != 1:
    sys.exit("CHANGED: other sums or seconds")
print("HOLDS: 10 s and 10 s are 20 s and a frame, an hour at 29.97 is 3.6 s late")
PY
