#!/usr/bin/env bash
# pycocotools selects other categories and images than it was asked for, and never finds the object whose id is 0.
#
# Guess:  getCatIds(catNms="hot dog") is the hot dog's; a name that does not exist selects nothing, and so does an empty list; a
#         perfect detector has an average precision of 1, whatever the ids of the annotations.
# Truth:  a name that is not in a list is searched as text: "hot dog" finds dog as well ("teddy bear" finds bear). An unknown
#         name gives [], and [] means no condition: getImgIds(catIds=[]) and getAnnIds(imgIds=[]) are everything. Several
#         categories select the images that show all of them, not any. COCOeval notes a match by the object's id, and 0 stands
#         for none: with ids counted from 0 a perfect detector of three objects has 0.667. torchmetrics counts from 1.
# Seen:   pycocotools 2.0.11
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pycocotools==2.0.11 numpy==2.4.6
venv/bin/python - <<'PY'
import contextlib
import importlib.metadata
import io
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def scene(first):
    """Three images, each with one object of its own category; the objects' ids count from `first`."""
    coco = COCO()
    box = {"bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0}
    coco.dataset = {
        "images": [{"id": number} for number in (1, 2, 3)],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "hot dog"}, {"id": 3, "name": "cat"}],
        "annotations": [{"id": first + n, "image_id": n + 1, "category_id": n + 1, **box} for n in range(3)],
    }
    coco.createIndex()
    return coco


def perfect(coco):
    """The average precision of a detector that finds every object where it is."""
    objects = coco.dataset["annotations"]
    found = [{key: o[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9} for o in objects]
    judge = COCOeval(coco, coco.loadRes(found), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return float(judge.stats[0])


print("pycocotools", importlib.metadata.version("pycocotools"))
with contextlib.redirect_stdout(io.StringIO()):
    coco = scene(1)
    text, listed, unknown = (coco.getCatIds(catNms=names) for names in ("hot dog", ["hot dog"], ["zebra"]))
    images, objects, both = coco.getImgIds(catIds=unknown), coco.getAnnIds(imgIds=[]), coco.getImgIds(catIds=[1, 2])
    from_one, from_zero = perfect(coco), perfect(scene(0))
print(f'"hot dog" {text}  ["hot dog"] {listed}  ["zebra"] {unknown} with images {images}')
print(f"objects of no image {objects}  images of dog or hot dog {both}")
print(f"perfect detector: ids from 1 {from_one:.3f}, from 0 {from_zero:.3f}")
if listed != [2] or unknown != [] or abs(from_one - 1) > 1e-6:
    sys.exit("CHANGED: what it is compared with does not hold")
if sorted(text) != [1, 2]:
    sys.exit("CHANGED: a name is not searched as text")
if sorted(images) != [1, 2, 3] or sorted(objects) != [1, 2, 3] or both != []:
    sys.exit("CHANGED: an empty list selects nothing, or two categories select the images of either")
if abs(from_zero - 2 / 3) > 1e-6:
    sys.exit("CHANGED: the object with id 0 can be found")
print("HOLDS: a name too many, all images for an unknown one, and a perfect detector at 0.667")
PY
