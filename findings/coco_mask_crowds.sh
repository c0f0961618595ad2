#!/usr/bin/env bash
# supervision writes an object with a hole, or in two parts, as a crowd into COCO's format.
#
# Guess:  DetectionDataset.as_coco writes a mask as the object that it is, in runs where polygons cannot hold it ("in the RLE format
#         for efficient storage", says its documentation), with iscrowd 0.
# Truth:  a mask with a hole, or in two parts, gets iscrowd 1, "many objects that could not be told apart": COCOeval asks nobody to find
#         it, and loaders leave crowds out of the training. A cup with a handle and a dog behind a post are no objects any more:
#         a detector that finds neither of them has an average precision of 1.0, not 0.5. The polygon beside them stays an object. data={"iscrowd": zeros} is right.
#         And bbox is a pixel too narrow and too low: one of 30 x 20 pixels is 29 x 19, a pole 4 pixels wide is 3 wide.
# Seen:   supervision 0.31.2, pycocotools 2.0.11, opencv 5.0.0.93, numpy 2.4.6. A private function's comment says so, as_coco does not.
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet supervision==0.31.2 pycocotools==2.0.11 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > seen.py <<'PY'
import contextlib
import io
import json
import sys
from importlib.metadata import version

import cv2
import numpy as np
import supervision as sv
from pycocotools import mask as runs
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

print("supervision", sv.__version__, "pycocotools", version("pycocotools"), "opencv", cv2.__version__, "numpy", np.__version__)
masks = np.zeros((4, 100, 200), bool)
masks[0, 10:30, 10:40] = True  # a box of 30 x 20
masks[1, 40:90, 10:60] = True
masks[1, 55:75, 25:45] = False  # a hole
masks[2, 40:90, [80, 81, 82, 120, 121, 122]] = True  # two parts
masks[3, 10:60, 150:154] = True  # a pole
cv2.imwrite("a.png", np.zeros((100, 200, 3), np.uint8))


def written(name, **data):
    boxes = sv.mask_to_xyxy(masks)
    found = sv.Detections(xyxy=boxes, mask=masks, class_id=np.zeros(4, int), data=data)
    sv.DetectionDataset(classes=["thing"], images=["a.png"], annotations={"a.png": found}).as_coco(annotations_path=name)
    with open(name) as file:
        return json.load(file)["annotations"]


def score(name, chosen):
    """Average precision of a detector that finds the chosen masks exactly and no other."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(name)
        image, kind = truth.getImgIds()[0], truth.getCatIds()[0]
        found = [{"image_id": image, "category_id": kind, "score": 0.9, "segmentation": runs.encode(np.asfortranarray(masks[number]))} for number in chosen]
        asked = COCOeval(truth, truth.loadRes(found), "segm")
        asked.evaluate()
        asked.accumulate()
        asked.summarize()
    return float(asked.stats[1])  # at an overlap of 0.5


plain = written("plain.json")
told = written("told.json", iscrowd=np.zeros(4, int))
right = [list(map(int, runs.toBbox(runs.encode(np.asfortranarray(mask))))) for mask in masks]
for kind, one, exact in zip(("box", "with a hole", "two parts", "pole"), plain, right):
    print(f"{kind:12} iscrowd {one['iscrowd']} bbox {one['bbox']}, by pycocotools {exact}, area {one['area']}")
scores = {name: (score(name, (0, 1, 2, 3)), score(name, (0, 3))) for name in ("plain.json", "told.json")}
print("average precision with all four and with box and pole alone:", scores)
crowds = [one["iscrowd"] for one in plain]
if [one["iscrowd"] for one in told] != [0, 0, 0, 0] or scores["told.json"][1] > 0.6:
    sys.exit("CHANGED: what it is compared with does not hold")
if crowds != [0, 1, 1, 0] or scores["plain.json"][1] < 0.99:
    sys.exit("CHANGED: objects are objects")
if plain[0]["bbox"][2:] != [29, 19] or plain[3]["bbox"][2] != 3:
    sys.exit("CHANGED: boxes reach around their masks")
print("HOLDS: of four objects", sum(crowds), "are crowds")
PY
venv/bin/python -W ignore seen.py
