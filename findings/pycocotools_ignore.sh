#!/usr/bin/env bash
# COCOeval does not know an annotation that says "ignore": 1.
#
# Guess:  an object with "ignore": 1, as the benchmarks for pedestrians and aerial pictures mark what should not count, counts
#         neither when it is found nor when it is missed: COCOeval reads the field.
# Truth:  it reads it, and writes iscrowd over it in the next line, also in the annotation itself. An ignored object that is
#         missed is a miss: a detector that finds all others has a recall of 0.5. With iscrowd it has 1, and there a box has
#         the share of itself that lies in the crowd for its overlap, so one that is much too small is ignored, too.
# Seen:   pycocotools 2.0.11
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pycocotools==2.0.11 numpy==2.4.6
cat > ignore.py <<'PY'
import contextlib
import importlib.metadata
import io
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

print("pycocotools", importlib.metadata.version("pycocotools"))


def judged(mark):
    """(average precision, recall) of a detector that finds the first object and not the second one, which has `mark`; and it."""
    coco = COCO()
    found = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 40]}
    coco.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "area": 1600, "iscrowd": 0, **found},
            {"id": 2, "area": 1600, "iscrowd": 0, **found, "bbox": [60, 0, 40, 40], **mark},
        ],
    }
    coco.createIndex()
    judge = COCOeval(coco, coco.loadRes([{**found, "score": 0.9}]), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return round(float(judge.stats[0]), 2), round(float(judge.stats[8]), 2), coco.anns[2]["ignore"]


marks = {"no mark": {}, "ignore 1": {"ignore": 1}, "iscrowd 1": {"iscrowd": 1}}
with contextlib.redirect_stdout(io.StringIO()):
    seen = {name: judged(mark) for name, mark in marks.items()}
for name, (precision, recall, left) in seen.items():
    print(f"{name:10} average precision {precision}, recall {recall}, the annotation's ignore afterwards {left!r}")
if seen["no mark"][1] != 0.5 or seen["iscrowd 1"][:2] != (1, 1):
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["ignore 1"][:2] != seen["no mark"][:2] or seen["ignore 1"][2]:
    sys.exit("CHANGED: an ignored object does not count")
print("HOLDS: an object that says ignore counts as a miss")
PY
venv/bin/python ignore.py
