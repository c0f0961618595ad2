#!/usr/bin/env bash
# pycocotools.mask.encode does not take what is not 0 for the object.
#
# Guess:  a uint8 mask is an object where it is not 0, as for area() and for 255, or other values than 0 and 1 are refused as
#         other types and other memory layouts are.
# Truth:  a run ends wherever two neighbours differ, and runs are object and background in turn: of a map with the labels 1 and 2
#         what is labelled 2 is background, and a mask with soft edges, as resizing makes one, becomes stripes. Booleans and
#         masks of 0 and 255 are right.
# Seen:   pycocotools 2.0.11, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pycocotools==2.0.11 numpy==2.4.6
venv/bin/python -W ignore::DeprecationWarning - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from pycocotools import mask

print("pycocotools", version("pycocotools"), "numpy", np.__version__)
hard = np.zeros((20, 20), np.uint8)
hard[4:12, 4:12] = 1
labels = hard.copy()
labels[6:10, 8:16] = 2
near = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
soft = (sum(np.roll(hard * 255.0, shift, (0, 1)) for shift in near) / 9).astype(np.uint8)  # each pixel the mean of 9


def kept(name, pixels):
    """Whether the encoded mask is where the pixels are not 0."""
    runs = mask.encode(np.asfortranarray(pixels))
    back = mask.decode(runs).astype(bool)
    wrong = int((back != (pixels > 0)).sum())
    print(f"{name:20} object {(pixels > 0).sum():3}, encoded {mask.area(runs):3}, wrong {wrong:3} of {pixels.size}")
    return wrong


right = [kept("0 and 1", hard), kept("booleans", hard.astype(bool)), kept("0 and 255", hard * 255)]
wrong = [kept("labels 0, 1, 2", labels), kept("soft edges", soft)]
chosen = kept("soft edges > 127", (soft > 127).astype(np.uint8))
if any(right) or chosen:
    sys.exit("CHANGED: what it is compared with does not hold")
if min(wrong) == 0:
    sys.exit("CHANGED: what is not 0 is the object")
print("HOLDS: of two labels", wrong[0], "pixels are wrong, of soft edges", wrong[1])
PY
