#!/usr/bin/env bash
# A COCO file that goes through sahi has crowds that are objects, and polygons cut to whole pixels.
#
# Guess:  Coco.from_coco_dict_or_path(file).json gives the annotations back, also after a split or a merge.
# Truth:  "iscrowd": 1 becomes 0: a crowd, which scores leave out, is one large object to be found, also in the tiles of
#         slice_coco. Corners of polygons are cut towards zero, 10.9 becomes 10, so that masks are moved up and left, half a
#         pixel on average, while the box and the area are those of the polygon before: masks of a small object overlap by 0.4
#         only. A box that is not that of its polygons (of the whole object, where only a part is seen) is replaced by theirs.
#         No word of any of it.
# Seen:   sahi 0.12.8, pycocotools 2.0.11
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet sahi==0.12.8 pycocotools==2.0.11 numpy==2.4.6
cat > trip.py <<'PY'
import json
import sys
from importlib.metadata import version

import numpy as np
from PIL import Image
from pycocotools import mask
from sahi.slicing import slice_coco
from sahi.utils.coco import Coco

print(*(f"{name} {version(name)}" for name in ("sahi", "pycocotools", "numpy")))


def polygon(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


common = {"image_id": 1, "category_id": 1, "iscrowd": 0}
given = [
    {**common, "id": 1, "bbox": [10.9, 20.9, 4, 4], "area": 16, "segmentation": polygon(10.9, 20.9, 14.9, 24.9)},
    {**common, "id": 2, "bbox": [60, 20, 80, 60], "area": 4800, "iscrowd": 1, "segmentation": polygon(60, 20, 140, 80)},
    {**common, "id": 3, "bbox": [10, 50, 40, 40], "area": 800, "segmentation": polygon(10, 50, 50, 70)},
]
data = {"images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}], "categories": [{"id": 1, "name": "person"}], "annotations": given}
Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save("a.png")
with open("in.json", "w") as file:
    json.dump(data, file)
back = Coco.from_coco_dict_or_path("in.json").json["annotations"]
tiles, _ = slice_coco("in.json", ".", "tiles", output_dir="tiles", slice_height=100, slice_width=200, overlap_height_ratio=0, overlap_width_ratio=0)
for before, after, tile in zip(given, back, tiles["annotations"], strict=True):
    for name, one in (("given", before), ("Coco", after), ("slice_coco", tile)):
        print(f"{name:10} iscrowd {one['iscrowd']} box {one['bbox']} area {one['area']} polygon {one['segmentation'][0]}")


def middle(annotation):
    """The middle of its polygon."""
    return np.mean(np.reshape(annotation["segmentation"][0], (-1, 2)), 0).round(2).tolist()


def pixels(annotation):
    return mask.decode(mask.frPyObjects(annotation["segmentation"], 100, 200))[..., 0]


first, crowd, partly = back
shared = np.sum(pixels(given[0]) & pixels(first)) / np.sum(pixels(given[0]) | pixels(first))
print("middle of the small polygon", middle(given[0]), "and", middle(first), f"overlap of its masks {shared:.2f}")
if [one["category_id"] for one in back] != [1, 1, 1] or np.abs(np.subtract(first["bbox"], given[0]["bbox"])).max() > 0.01:
    sys.exit("CHANGED: what it is compared with does not hold")
if crowd["iscrowd"] or tiles["annotations"][1]["iscrowd"]:
    sys.exit("CHANGED: a crowd stays one")
if middle(first) != [12, 22] or shared > 0.9:
    sys.exit("CHANGED: polygons keep their corners")
if partly["bbox"] != [10, 50, 40, 20]:
    sys.exit("CHANGED: the box of the whole object stays")
print("HOLDS: a crowd is an object, a polygon is moved by 0.9 pixels, a box is another")
PY
venv/bin/python trip.py
