#!/usr/bin/env bash
# A number beside a picture is a limit of the first channel alone in OpenCV's max, min and inRange.
#
# Guess:  cv2.max(picture, 150) is np.maximum(picture, 150), and inRange(picture, 90, 110) tests each channel, as cv2.add(picture,
#         50), which adds to all.
# Truth:  for max, min and inRange, unlike add, subtract and absdiff, the number is (number, 0, 0, 0): of a
#         picture with three channels one is compared with it and the others with 0: max leaves those as they are, min makes
#         them black, and inRange finds a pixel only where they are 0. A number for each channel, as a tuple, is right.
# Seen:   opencv 5.0.0.93, numpy 2.4.6
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
picture = np.full((4, 5, 3), 100, np.uint8)
ways = {
    "add 50": cv2.add(picture, 50),
    "subtract 50": cv2.subtract(picture, 50),
    "max with 150": cv2.max(picture, 150),
    "min with 50": cv2.min(picture, 50),
    "absdiff with 70": cv2.absdiff(picture, 70),
    "inRange 90 to 110": cv2.inRange(picture, 90, 110),
    "max with a tuple": cv2.max(picture, (150, 150, 150, 150)),
    "inRange with tuples": cv2.inRange(picture, (90, 90, 90), (110, 110, 110)),
    "inRange of one channel": cv2.inRange(picture[..., 0], 90, 110),
}
seen = {name: np.atleast_1d(result[0, 0]).tolist() for name, result in ways.items()}
for name, values in seen.items():
    print(f"{name:22} of 100 100 100: {values}")
same = {"add 50": [150] * 3, "subtract 50": [50] * 3, "absdiff with 70": [30] * 3, "max with a tuple": [150] * 3}
same |= {"inRange with tuples": [255], "inRange of one channel": [255]}
if any(seen[name] != values for name, values in same.items()):
    sys.exit("CHANGED: what it is compared with does not hold")
first = {"max with 150": [150, 100, 100], "min with 50": [50, 0, 0], "inRange 90 to 110": [0]}
if any(seen[name] != values for name, values in first.items()):
    sys.exit("CHANGED: the number is for all channels")
print("HOLDS: max, min and inRange compare the first channel with the number, the others with 0")
PY
