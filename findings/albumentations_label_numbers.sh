#!/usr/bin/env bash
# Numbers that albumentations carries along with boxes come back as float32 holds them: large ids are others.
#
# Guess:  label_fields are labels: what is given along with a box or a keypoint comes back as it was, for the boxes that are
#         left.
# Truth:  numbers become columns of the array of the boxes, which is float32, and are made whole numbers again afterwards.
#         From 16 777 216 on they are rounded, ids of COCO's crowds (900100259690) by hundreds and more: objects have ids that
#         no object has, or those of others. Text comes back exactly. No transform is needed, and nothing is said.
# Seen:   albumentations 2.0.8, numpy 2.4.6, opencv 5.0.0.93
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export NO_ALBUMENTATIONS_UPDATE=1
python3 -m venv venv
venv/bin/pip install --quiet albumentations==2.0.8 numpy==2.4.6 opencv-python-headless==5.0.0.93
cat > label_numbers.py <<'PY'
import sys
from importlib.metadata import version

import albumentations as A
import numpy as np

print(*(f"{name} {version(name)}" for name in ("albumentations", "numpy", "opencv-python-headless")))
picture = np.zeros((100, 100, 3), np.uint8)
ids = [7, 16777217, 20000003, 900100259690, 900100259691]
boxes = [[10.0 * number, 10, 10 * number + 10, 30] for number in range(len(ids))]


def through(kind, labels, given):
    if kind == "keypoints":
        places = {"keypoint_params": A.KeypointParams(format="xy", label_fields=["ids"])}
        data = {"keypoints": given([box[:2] for box in boxes])}
    else:
        places = {"bbox_params": A.BboxParams(format=kind, label_fields=["ids"])}
        data = {"bboxes": given([[*box[:2], 10, 20] for box in boxes] if kind == "coco" else boxes)}
    return list(A.Compose([A.HorizontalFlip(p=1)], **places)(image=picture, ids=labels, **data)["ids"])


exact, rounded = [], []
for kind in ("coco", "pascal_voc", "keypoints"):
    for name, given in (("lists", list), ("float64 arrays", np.array)):
        numbers = [int(number) for number in through(kind, ids, given)]
        texts = through(kind, [str(number) for number in ids], given)
        print(f"{kind:10} {name:14} ids {numbers}, as text {'exact' if texts == [str(number) for number in ids] else texts}")
        exact.append(texts == [str(number) for number in ids] and numbers[0] == ids[0])
        rounded.append(numbers == [int(np.float32(number)) for number in ids])
if not all(exact):
    sys.exit("CHANGED: what it is compared with does not hold")
if not all(rounded):
    sys.exit("CHANGED: the numbers are not those of float32")
print("HOLDS: of five ids four are others")
PY
venv/bin/python label_numbers.py
