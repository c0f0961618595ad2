#!/usr/bin/env bash
# einops' repeat of a torch tensor is a view of it where that is possible: writing to one repetition writes to all, and to the original.
#
# Guess:  repeat(picture, "b c h w -> b t c h w", t=4) gives four frames of their own, as it does of a NumPy array.
# Truth:  of torch tensors the new axis is an expanded one: frames[:, 0] = 0 makes all four frames 0 and the picture, too; so does
#         `frames[0] += 1` and noise.mul_. Where the new axis is merged with another, "b c -> (b t) c", it is a copy, unless b is 1, and of
#         NumPy arrays it is a copy always. Nothing warns of it. clone() first, or contiguous(), is right.
# Seen:   einops 0.8.2, torch 2.13.0, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet einops==0.8.2 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import torch
from einops import repeat

print(*(f"{name} {version(name)}" for name in ("einops", "torch", "numpy")))


def written(make, pattern, size=1, copy=lambda frames: frames):
    """How many frames and how many pictures change where one frame is written to."""
    pictures = make((size, 3, 2, 2))
    frames = copy(repeat(pictures, pattern, t=4))
    apart = frames if frames.ndim == 5 else frames.reshape(size, 4, 3, 2, 2)
    apart[0, 0] = 1
    return int(apart.sum()) // 12, int(pictures.sum()) // 12


NEW_AXIS, MERGED = "b c h w -> b t c h w", "b c h w -> (b t) c h w"
seen = {
    "torch": written(torch.zeros, NEW_AXIS),
    "torch, two pictures": written(torch.zeros, NEW_AXIS, 2),
    "numpy": written(np.zeros, NEW_AXIS),
    "torch, (b t), two pictures": written(torch.zeros, MERGED, 2),
    "torch, (b t), one picture": written(torch.zeros, MERGED),
    "numpy, (b t), one picture": written(np.zeros, MERGED),
    "torch, clone()": written(torch.zeros, NEW_AXIS, 2, torch.clone),
}
for case, (frames, pictures) in seen.items():
    print(f"{case:27} writing to one frame changes {frames} frames and {pictures} pictures")
views = {case for case, found in seen.items() if found == (4, 1)}
if any(found != (1, 0) for case, found in seen.items() if case not in views):
    sys.exit("CHANGED: what it is compared with does not hold")
if views != {"torch", "torch, two pictures", "torch, (b t), one picture"}:
    sys.exit(f"CHANGED: others are views: {sorted(views)}")
print("HOLDS: the frames that torch repeats are one")
PY
