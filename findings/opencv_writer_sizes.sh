#!/usr/bin/env bash
# OpenCV's VideoWriter makes odd sizes even, and drops frames of other sizes, without a word.
#
# Guess:  a VideoWriter for 65 x 49 writes that size or refuses it, and a frame of another size is an error or is scaled.
# Truth:  the file has 64 x 48: a column and a row are cut off. Of frames of other sizes than were said
#         none is written, without an error, and the video is shorter than what was given to it.
# Seen:   opencv 5.0.0.93, numpy 2.4.6, mp4v in MP4
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np

print("opencv", cv2.__version__, "numpy", np.__version__)


def written(size, *shapes):
    """Size and number of the frames read back from a video of ten frames of each shape."""
    writer = cv2.VideoWriter("a.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 25, size)
    opened = writer.isOpened()
    for shape in shapes:
        for _ in range(10):
            writer.write(np.full(shape, 100, np.uint8))
    writer.release()
    reader, frames = cv2.VideoCapture("a.mp4"), []
    while opened:
        got, frame = reader.read()
        if not got:
            break
        frames.append(frame.shape[1::-1])
    return opened, sorted(set(frames)), len(frames)


cases = {
    "64 x 48 as said": ((64, 48), (48, 64, 3)),
    "65 x 49 as said": ((65, 49), (49, 65, 3)),
    "64 x 48, then 32 x 24": ((64, 48), (48, 64, 3), (24, 32, 3)),
    "64 x 48, then 48 x 64": ((64, 48), (48, 64, 3), (64, 48, 3)),
}
seen = {name: written(*case) for name, case in cases.items()}
for name, (opened, sizes, count) in seen.items():
    print(f"{name:22}: opened {opened}, {count} frames of {sizes}")
if seen["64 x 48 as said"] != (True, [(64, 48)], 10):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(result != (True, [(64, 48)], 10) for result in seen.values()):
    sys.exit("CHANGED: odd sizes are kept, or other frames are written or refused")
print("HOLDS: 65 x 49 became 64 x 48, and frames of other sizes are not there")
PY
