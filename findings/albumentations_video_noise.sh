#!/usr/bin/env bash
# albumentations puts the same noise on every frame of a video, and on every picture of a batch.
#
# Guess:  images=video keeps geometry and colours the same for all frames, and draws noise anew for each, as a camera does.
# Truth:  the noise is drawn once and is the same in every frame, to the bit: GaussNoise, ISONoise, ShotNoise, SaltAndPepper,
#         AdditiveNoise, PixelDropout and MultiplicativeNoise lie on the video like dirt on the lens, and the mean of the frames
#         has as much of it as each frame. Only CoarseDropout(fill="random") differs from frame to frame. The same for pictures
#         that belong to other clips: sixteen of one call have one noise. Called frame by frame, noise is new in each.
# Seen:   albumentations 2.0.8, numpy 2.4.6, opencv 5.0.0.93
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export NO_ALBUMENTATIONS_UPDATE=1
python3 -m venv venv
venv/bin/pip install --quiet albumentations==2.0.8 numpy==2.4.6 opencv-python-headless==5.0.0.93
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import albumentations as A
import numpy as np

print(*(f"{name} {version(name)}" for name in ("albumentations", "numpy", "opencv-python-headless")))
picture = np.random.default_rng(0).integers(60, 190, (8, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
video = np.stack([picture] * 16)
noises = [
    A.GaussNoise(p=1), A.ISONoise(p=1), A.ShotNoise(p=1), A.SaltAndPepper(p=1), A.AdditiveNoise(p=1), A.PixelDropout(p=1),
    A.MultiplicativeNoise(elementwise=True, p=1),
]


def spread(frames):
    """Of one frame's noise, and of the mean of all: independent noise in 16 frames leaves a quarter."""
    noise = frames.astype(float) - picture
    return float(noise[0].std()), float(noise.mean(axis=0).std())


def changed(noise):
    """Whether the frames differ, with the video at once and frame by frame."""
    pipeline = A.Compose([noise], seed=0)
    whole = np.asarray(pipeline(images=video)["images"])
    single = np.stack([pipeline(image=frame)["image"] for frame in video])
    print(f"{type(noise).__name__:20} one frame {spread(whole)[0]:5.1f}, mean of 16 {spread(whole)[1]:5.1f}; frame by frame {spread(single)[1]:5.1f}")
    if not spread(whole)[0]:
        sys.exit("CHANGED: there is no noise")
    return bool((whole != whole[0]).any()), bool((single != single[0]).any())


seen = [changed(noise) for noise in noises]
if not all(single for _, single in seen) or not changed(A.CoarseDropout(fill="random", p=1))[0]:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(whole for whole, _ in seen):
    sys.exit("CHANGED: noise differs from frame to frame")
print("HOLDS: one noise in all 16 frames")
PY
