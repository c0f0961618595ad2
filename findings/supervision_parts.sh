#!/usr/bin/env bash
# supervision writes an object in two parts as two objects, in YOLO's and Pascal VOC's format.
#
# Guess:  a dog behind a post, one annotation of COCO with one box and two polygons, is one dog in every format, in Pascal
#         VOC with its box; or it is refused.
# Truth:  as_yolo and as_pascal_voc write one object for each polygon, and the box of the whole is written nowhere: training
#         and scoring count two dogs. A part that is a line or less than three corners is dropped without a word. as_coco
#         gives the object back.
# Seen:   supervision 0.31.2, opencv 5.0.0.93, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet supervision==0.31.2 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > parts.py <<'PY'
import json
import os
import sys

import cv2
import numpy as np
import supervision as sv

print("supervision", sv.__version__, "opencv", cv2.__version__, "numpy", np.__version__)


def square(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


os.mkdir("images")
cv2.imwrite("images/a.png", np.zeros((100, 200, 3), np.uint8))
parts = [square(10, 20, 50, 60), square(70, 20, 110, 60)]
dog = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 100, 40], "area": 3200, "iscrowd": 0, "segmentation": parts}
cat = {**dog, "id": 2, "category_id": 2, "bbox": [120, 20, 40, 40], "area": 1600, "segmentation": [square(120, 20, 160, 60)]}
names = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
images = [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}]
with open("in.json", "w") as file:
    json.dump({"images": images, "categories": names, "annotations": [dog, cat]}, file)
read = sv.DetectionDataset.from_coco("images", "in.json")
read.as_coco(annotations_path="out.json")
read.as_yolo(annotations_directory_path="yolo", data_yaml_path="data.yaml")
read.as_pascal_voc(annotations_directory_path="voc")
written = {
    "read from COCO": read,
    "COCO": sv.DetectionDataset.from_coco("images", "out.json"),
    "YOLO": sv.DetectionDataset.from_yolo("images", "yolo", "data.yaml"),
    "VOC": sv.DetectionDataset.from_pascal_voc("images", "voc"),
}
seen = {}
for name, dataset in written.items():
    objects = next(iter(dataset.annotations.values()))
    seen[name] = sorted((dataset.classes[number], round(box[0])) for number, box in zip(objects.class_id, objects.xyxy))
    print(f"{name:15}", [(dataset.classes[n], box.round().tolist()) for n, box in zip(objects.class_id, objects.xyxy)])
one, two = [("cat", 120), ("dog", 10)], [("cat", 120), ("dog", 10), ("dog", 70)]
if seen["read from COCO"] != one or seen["COCO"] != one:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["YOLO"] != two or seen["VOC"] != two:
    sys.exit("CHANGED: the dog in two parts is one, or is refused")
print("HOLDS: one dog in two parts is two dogs")
PY
venv/bin/python parts.py
