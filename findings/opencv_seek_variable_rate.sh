#!/usr/bin/env bash
# OpenCV goes to a time where it is asked for a frame's number: where frames are not evenly spaced it reads another frame.
#
# Guess:  after set(CAP_PROP_POS_FRAMES, n) read() gives the frame that read() gives as the n-th from the beginning.
# Truth:  the number is made a time by the average rate, and a frame's time a number by it. Where the 50th of 100 frames is
#         shown a second longer, read() after 40, 48, 60, 80 and 95 gives the frames 46, 56, 68, 70 and 89;
#         get(CAP_PROP_POS_FRAMES) says the number that was asked for. At an even rate each frame is the one that was asked
#         for.
# Seen:   opencv 5.0.0.93, av 18.1.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
cat > seek.py <<'PY'
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import cv2
import numpy as np

print(*(f"{name} {version(name)}" for name in ("opencv-python-headless", "av", "numpy")))


def write(name, ticks):
    """100 frames whose brightness is their number, shown at `ticks` 25ths of a second, a key frame every 10."""
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "crf": "10", "bf": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 25)
        for number, tick in enumerate(ticks):
            planes = np.full((96, 64), 128, np.uint8)
            planes[:64] = 16 + 2 * number
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = tick, Fraction(1, 25)
            container.mux(stream.encode(frame))
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


def at(name, index):
    """The frame that is read after going to `index`, and the number that OpenCV says it has then."""
    capture = cv2.VideoCapture(name)
    capture.set(cv2.CAP_PROP_POS_FRAMES, index)
    said = round(capture.get(cv2.CAP_PROP_POS_FRAMES))
    found, picture = capture.read()
    return number(picture) if found else None, said


even = list(range(100))
pause = [tick + 25 * (tick >= 50) for tick in even]
asked = [0, 5, 20, 40, 48, 60, 80, 95]
seen = {}
for name, ticks in (("even.mp4", even), ("pause.mp4", pause)):
    write(name, ticks)
    order = in_order(name)
    got = [at(name, index) for index in asked]
    seen[name] = [frame for frame, _ in got]
    print(f"{name:9} in order right {order == even}; asked {asked}: read {seen[name]}, said {[said for _, said in got]}")
    if order != even:
        sys.exit("CHANGED: what it is compared with does not hold")
if seen["even.mp4"] != asked:
    sys.exit("CHANGED: what it is compared with does not hold")
other = sum(frame != index for frame, index in zip(seen["pause.mp4"], asked, strict=True))
if other < 3:
    sys.exit("CHANGED: frames are found by their number")
print(f"HOLDS: {other} of {len(asked)} are other frames")
PY
venv/bin/python seek.py
