#!/usr/bin/env bash
# kornia's center_crop blurs where the size to be cut off is odd.
#
# Guess:  a crop takes pixels as they are: center_crop of 225 x 225 to 224 x 224 leaves out one row and one column.
# Truth:  geometry.center_crop samples at the exact middle, which lies between pixels where the two sizes differ by an odd
#         number, and each pixel is the mean of two or four neighbours: stripes and a checkerboard are uniform gray, noise has
#         half its spread. Where the difference is even, pixels are as they were, with nothing to show for it.
#         augmentation.CenterCrop cuts whole pixels.
# Seen:   kornia 0.9.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet kornia==0.9.0 torch==2.13.0 numpy==2.4.6
cat > crop.py <<'PY'
import sys
from importlib.metadata import version

import torch
from kornia.augmentation import CenterCrop
from kornia.geometry.transform import center_crop

print(*(f"{name} {version(name)}" for name in ("kornia", "torch")))


def pictures(size):
    place = torch.arange(size)
    board = ((place[:, None] + place) % 2).float()[None, None]
    stripes = (place % 2).float().expand(size, size)[None, None]
    return {"checkerboard": board, "stripes": stripes, "noise": torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))}


seen = {}
for size in (226, 225):
    for name, picture in pictures(size).items():
        inside = picture[..., 2:-2, 2:-2].std()
        for way, crop in (("center_crop", lambda x: center_crop(x, (224, 224))), ("CenterCrop", CenterCrop(224))):
            cut = crop(picture)
            seen[way, size, name] = float(cut[..., 2:-2, 2:-2].std() / inside)
            print(f"{size} to 224 {name:13} {way:11}: spread {seen[way, size, name]:.3f} of the picture's, shape {tuple(cut.shape)}")
kept = [value for (way, size, _), value in seen.items() if way == "CenterCrop" or size == 226]
if min(kept) < 0.98:
    sys.exit("CHANGED: what it is compared with does not hold")
blurred = {name: seen["center_crop", 225, name] for name in ("checkerboard", "stripes", "noise")}
if blurred["checkerboard"] > 0.05 or blurred["stripes"] > 0.05 or not 0.4 < blurred["noise"] < 0.6:
    sys.exit("CHANGED: center_crop takes pixels as they are")
print("HOLDS: of 225 x 225 the spread left is", {name: round(value, 2) for name, value in blurred.items()})
PY
venv/bin/python crop.py
