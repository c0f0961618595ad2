#!/usr/bin/env bash
# In a transport stream with B-frames OpenCV cannot go back to the beginning: the first group of pictures is out of reach.
#
# Guess:  set(CAP_PROP_POS_FRAMES, 0), or POS_MSEC 0, is the beginning, from which read() gives the first frame again.
# Truth:  of a stream with a key frame every 25 it gives frame 25, counted from 0, and 25 or 26 for all that lies before
#         them; without B-frames, and in MP4, each frame is the one that was asked for. Reading without set() gives all 100.
# Seen:   opencv 5.0.0.93, av 18.1.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
cat > rewind.py <<'PY'
import os
import sys
from fractions import Fraction
from importlib.metadata import version

os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # its decoder says much while it goes to a place
import av
import cv2
import numpy as np

print(*(f"{name} {version(name)}" for name in ("opencv-python-headless", "av", "numpy")))
COUNT, GROUP = 100, 25


def write(name, b_frames):
    """Frames whose brightness is their number."""
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": str(GROUP), "crf": "10", "bf": str(b_frames)})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(COUNT):
            planes = np.full((96, 64), 128, np.uint8)
            planes[:64] = 16 + 2 * number
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())


def number(picture):
    return round(float(picture[8:56, 8:56].mean()) * 219 / 255 / 2)


def in_order(name):
    capture, numbers = cv2.VideoCapture(name), []
    while True:
        found, picture = capture.read()
        if not found:
            return numbers
        numbers.append(number(picture))


def after(name, key, value):
    capture = cv2.VideoCapture(name)
    capture.read()
    capture.set(key, value)
    found, picture = capture.read()
    return number(picture) if found else None


places, times = [0, 5, 20, 40, 60, 95], [0, 200, 2000]
seen = {}
for name, b_frames in (("two.mp4", 2), ("none.ts", 0), ("two.ts", 2)):
    write(name, b_frames)
    whole = in_order(name) == list(range(COUNT))
    seen[name] = [after(name, cv2.CAP_PROP_POS_FRAMES, place) for place in places]
    of_times = [after(name, cv2.CAP_PROP_POS_MSEC, time) for time in times]
    print(f"{name}: in order right {whole}; frames {places}: {seen[name]}; milliseconds {times}: {of_times}")
    if not whole:
        sys.exit("CHANGED: what it is compared with does not hold")
    seen[name] += of_times
if not seen["two.mp4"] == seen["none.ts"] == [*places, 0, 5, 50]:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["two.ts"][0] == 0:
    sys.exit("CHANGED: the beginning is found")
print(f"HOLDS: asked for the beginning, it reads frame {seen['two.ts'][0]}")
PY
venv/bin/python rewind.py
