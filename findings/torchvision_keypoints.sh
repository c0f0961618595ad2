#!/usr/bin/env bash
# torchvision's key points leave their picture: flip and resize in one order or the other are nine pixels apart.
#
# Guess:  a key point of torchvision goes where the picture and the box around it go: flipping and then resizing is resizing and then
#         flipping, and two flips are a rotation by 180 degrees.
# Truth:  flips count pixels (W - 1 - x), while resize and rotate measure from the edge (x * scale, W - x): in a picture made ten
#         times as large the two orders are 9 pixels apart, and a point rotated by 90 or 180 degrees lies one pixel beside that of the
#         flips. A point on the edge of its box is outside after a flip. Boxes and pictures agree with themselves in all of it. No warning.
# Seen:   torchvision 0.28.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchvision==0.28.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import torch

try:
    import torchvision
except RuntimeError:  # a torch without CUDA beside PyPI's torchvision: its compiled operators are missing, which are not used here
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import BoundingBoxes, Image, KeyPoints

print("torchvision", torchvision.__version__, "torch", torch.__version__)
warnings.simplefilter("error")
pixels = torch.zeros(1, 100, 100)
pixels[0, 20:30, 10:20] = 1.0
picture = Image(pixels)  # a white square at x 10 .. 20, y 20 .. 30
point = KeyPoints(torch.tensor([[20.0, 30.0]]), canvas_size=(100, 100))  # its lower right corner
box = BoundingBoxes(torch.tensor([[10.0, 20.0, 20.0, 30.0]]), format="XYXY", canvas_size=(100, 100))


def square(of):
    """The edges of the white square in a picture: x, y, x, y."""
    rows, columns = torch.nonzero(of.as_subclass(torch.Tensor)[0] > 0.5, as_tuple=True)
    return [float(edge) for edge in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


def resized(given):
    size = [1000, 1000]
    return functional.resize(given, size, interpolation=functional.InterpolationMode.NEAREST) if isinstance(given, Image) else functional.resize(given, size)


ways = {
    "flip, resize": lambda given: resized(functional.horizontal_flip(given)),
    "resize, flip": lambda given: functional.horizontal_flip(resized(given)),
    "both flips": lambda given: functional.vertical_flip(functional.horizontal_flip(given)),
    "rotate by 180": lambda given: functional.rotate(given, 180),
}
points, boxes, squares = {}, {}, {}
for name, way in ways.items():
    points[name] = [round(value, 3) for value in way(point)[0].tolist()]
    boxes[name] = [round(value, 3) for value in way(box)[0].tolist()]
    squares[name] = square(way(picture))
    print(f"{name:13}: square {squares[name]}, box {boxes[name]}, point {points[name]}")
same = boxes == squares and boxes["flip, resize"] == boxes["resize, flip"] and boxes["both flips"] == boxes["rotate by 180"]
if not same:
    sys.exit("CHANGED: what it is compared with does not hold")
apart = points["resize, flip"][0] - points["flip, resize"][0]
if apart != 9 or points["both flips"] == points["rotate by 180"]:
    sys.exit("CHANGED: key points agree with themselves")
corner = boxes["both flips"][:2]  # where the lower right corner of the square went
print(f"HOLDS: {apart:.0f} pixels apart; the corner of the box is at {corner}, the point at {points['both flips']}")
PY
