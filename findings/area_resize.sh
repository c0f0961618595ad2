#!/usr/bin/env bash
# Averaging by area is three different things in torch, OpenCV and Pillow, unless the sizes divide.
#
# Guess:  F.interpolate(mode="area"), cv2.INTER_AREA and Image.BOX weigh each pixel by the share of it that lies under the new one,
#         so they agree up to rounding, and a picture keeps its brightness.
# Truth:  OpenCV does. torch averages the pixels that a new one touches, all with equal weight: new pixels overlap, and from 3 to 2
#         the middle one counts twice. Pillow takes the pixels whose centre lies under the new one: from 3 to 2 the mean of
#         two, and the third alone. Of noise they differ by tens of levels, where bilinear with antialiasing of torch and
#         Pillow agrees. At whole ratios (96 to 48) all are equal. A model that was trained on one library's downscaling
#         sees other pixels from another's.
# Seen:   torch 2.13.0, opencv-python-headless 5.0.0.93, pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import PIL
import torch
import torch.nn.functional as F
from PIL import Image

print("torch", torch.__version__, "opencv", cv2.__version__, "pillow", PIL.__version__)


def exact(size, new):
    """The share of each old pixel under each new one, as weights that add up to 1."""
    edges = np.arange(new + 1) * size / new
    under = [[max(0.0, min(high, n + 1) - max(low, n)) for n in range(size)] for low, high in zip(edges, edges[1:])]
    return np.array(under) * new / size


def resized(picture, new):
    tensor = torch.from_numpy(picture)[None, None]
    image = Image.fromarray(picture)
    linear = F.interpolate(tensor, (new, new), mode="bilinear", antialias=True)[0, 0].numpy()
    return {
        "exact": exact(len(picture), new) @ picture @ exact(len(picture), new).T,
        "torch": F.interpolate(tensor, (new, new), mode="area")[0, 0].numpy(),
        "opencv": cv2.resize(picture, (new, new), interpolation=cv2.INTER_AREA),
        "pillow": np.asarray(image.resize((new, new), Image.Resampling.BOX)),
    }, np.abs(linear - np.asarray(image.resize((new, new), Image.Resampling.BILINEAR))).max()


line = np.tile(np.array([0, 90, 240], np.float32), (3, 1))
print("0 90 240 to two pixels:", {name: result[0].round(1).tolist() for name, result in resized(line, 2)[0].items()})
noise = np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.float32)
apart = {}
for new in (48, 64):
    results, linear = resized(noise, new)
    apart[new] = {name: float(np.abs(results[name] - results["exact"]).max()) for name in ("torch", "opencv", "pillow")}
    print(f"noise, 96 to {new}: largest difference to the exact one {apart[new]}, bilinear of torch and Pillow {linear:.4f}")
    if linear > 0.1:
        sys.exit("CHANGED: bilinear with antialiasing differs, too")
three = {name: result[0].round(3).tolist() for name, result in resized(line, 2)[0].items()}
if max(apart[48].values()) > 0.1 or apart[64]["opencv"] > 0.1 or three["opencv"] != [30.0, 190.0]:
    sys.exit("CHANGED: what it is compared with does not hold")
if three["torch"] != [45.0, 165.0] or apart[64]["torch"] < 20:
    sys.exit("CHANGED: torch weighs by area")
if three["pillow"] != [45.0, 240.0] or apart[64]["pillow"] < 20:
    sys.exit("CHANGED: Pillow weighs by area")
print("HOLDS: 0 90 240 is 45 165 in torch, 30 190 in OpenCV and 45 240 in Pillow")
PY
