#!/usr/bin/env bash
# Label Studio's converter writes rotated boxes into YOLO and Pascal VOC as if they were not rotated, into COCO not.
#
# Guess:  one annotation has one box in COCO, YOLO and Pascal VOC: of a rectangle that was turned, since none of the three has angles,
#         the upright box around it, or none.
# Truth:  in COCO it is the box around it; in YOLO and VOC the angle is left out: a bottle turned by 90 degrees is written as one that
#         lies, beside the object, which it does not even overlap. Without a word.
# Seen:   label-studio-sdk 2.1.2. Known: issues 5223 and 5914 of HumanSignal/label-studio.
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet label-studio-sdk==2.1.2 pillow==13.0.0
cat > seen.py <<'PY'
import json
import math
import pathlib
import sys
import xml.etree.ElementTree as xml
from importlib.metadata import version

from label_studio_sdk.converter import Converter

print("label-studio-sdk", version("label-studio-sdk"))
wide, high = 200, 200
labels = '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image"><Label value="bottle"/></RectangleLabels></View>'
angles = {1: 0, 2: 90, 3: 30}
box = (80.0, 80.0, 60.0, 20.0)  # left, top, width, height in pixels, turned about left and top


def task(number, angle):
    left, top, width, height = (100 * value / wide for value in box)
    value = {"x": left, "y": top, "width": width, "height": height, "rotation": angle, "rectanglelabels": ["bottle"]}
    one = {"id": "a", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "original_width": wide, "original_height": high, "value": value}
    return {"id": number, "data": {"image": f"/data/upload/{number}.png"}, "annotations": [{"id": number, "result": [one]}]}


def around(angle):
    """The upright box around the turned one: left, top, right, bottom."""
    left, top, width, height = box
    turn = math.radians(angle)
    corners = [(left + x * math.cos(turn) - y * math.sin(turn), top + x * math.sin(turn) + y * math.cos(turn)) for x in (0, width) for y in (0, height)]
    return [round(f(corner[axis] for corner in corners)) for f in (min, max) for axis in (0, 1)]


def edges(left, top, width, height):
    return [round(value) for value in (left, top, left + width, top + height)]


pathlib.Path("in.json").write_text(json.dumps([task(number, angle) for number, angle in angles.items()]))
converter = Converter(config=labels, project_dir=".", download_resources=False)
converter.convert_to_coco("in.json", "coco", output_image_dir="coco/images", is_dir=False)
converter.convert_to_yolo("in.json", "yolo", output_image_dir="yolo/images", output_label_dir="yolo/labels", is_dir=False)
converter.convert_to_voc("in.json", "voc", output_image_dir="voc/images", is_dir=False)
seen = {number: {} for number in angles}
coco = json.loads(pathlib.Path("coco/result.json").read_text())
names = {image["id"]: int(pathlib.Path(image["file_name"]).stem) for image in coco["images"]}
for one in coco["annotations"]:
    seen[names[one["image_id"]]]["COCO"] = edges(*one["bbox"])
for file in pathlib.Path("yolo/labels").glob("*.txt"):
    x, y, width, height = (float(value) * wide for value in file.read_text().split()[1:])
    seen[int(file.stem)]["YOLO"] = edges(x - width / 2, y - height / 2, width, height)
for file in pathlib.Path("voc").rglob("*.xml"):
    found = xml.parse(file).find(".//bndbox")
    seen[int(file.stem)]["VOC"] = [round(float(found.find(name).text)) for name in ("xmin", "ymin", "xmax", "ymax")]
for number, angle in angles.items():
    print(f"turned by {angle:2}: covers {around(angle)}, written {seen[number]}")
kinds = {"COCO", "YOLO", "VOC"}
if set(seen[1]) != kinds or any(seen[1][kind] != around(0) for kind in kinds):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[number]["COCO"] != around(angle) for number, angle in angles.items()):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[number][kind] != around(0) for number in angles for kind in ("YOLO", "VOC")):
    sys.exit("CHANGED: the angle counts")
print("HOLDS: in YOLO and VOC all angles are written as", seen[1]["YOLO"])
PY
venv/bin/python -W ignore seen.py
