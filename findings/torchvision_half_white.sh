#!/usr/bin/env bash
# torchvision turns white pixels of float16 and bfloat16 pictures into black ones.
#
# Guess:  ToDtype(torch.uint8, scale=True) gives 1.0 as 255 whatever the type of float; where a type is too narrow for that it
#         refuses, as it does for float32 to int32.
# Truth:  it multiplies by 255.999 in the picture's own type, which rounds that to 256, and 256 in uint8 is 0. So whatever rounds
#         to 1 in float16 or bfloat16 becomes black, also in frames that a model in half precision makes and that are
#         clamped to 0 .. 1: their highlights. convert_image_dtype of v1 and v2 has it, too. Other levels come back at most
#         one apart. float() first is right.
# Seen:   torchvision 0.28.0, torch 2.13.0, CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchvision==0.28.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import torch

try:
    import torchvision
except RuntimeError:  # a torch without CUDA beside PyPI's torchvision: its compiled operators are missing, which are not used here
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from torchvision.transforms import ConvertImageDtype, v2

print("torchvision", torchvision.__version__, "torch", torch.__version__)
levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
ways = {
    "v2.ToDtype": v2.ToDtype(torch.uint8, scale=True),
    "v2.functional.convert_image_dtype": lambda picture: v2.functional.convert_image_dtype(picture, torch.uint8),
    "ConvertImageDtype": ConvertImageDtype(torch.uint8),
}
seen = {}
for name, way in ways.items():
    for kind in (torch.float32, torch.float16, torch.bfloat16):
        picture = v2.functional.to_dtype(levels, kind, scale=True)  # 0 .. 1
        apart = (way(picture).int() - levels.int()).flatten()
        seen[name, kind] = (way(torch.ones(1, 1, 1, dtype=kind)).item(), apart.abs()[:250].max().item(), apart[250:].tolist())
        white, most, last = seen[name, kind]
        print(f"{name:34} {kind}: 1.0 gives {white}; levels come back {most} apart below 250, from 250 on by {last}")
if any(found != (255, 0, [0] * 6) for (_, kind), found in seen.items() if kind is torch.float32):
    sys.exit("CHANGED: what it is compared with does not hold: float32 is not exact")
if any(most > 2 for _, most, _ in seen.values()):
    sys.exit("CHANGED: other levels are far off, too")
if any(white != 0 or last[-1] != -255 for (_, kind), (white, _, last) in seen.items() if kind is not torch.float32):
    sys.exit("CHANGED: white stays white")
print("HOLDS: 1.0 in float16 and bfloat16 becomes 0, in float32 255")
PY
