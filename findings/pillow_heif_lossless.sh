#!/usr/bin/env bash
# pillow-heif's lossless quality is not lossless.
#
# Guess:  save(..., quality=-1), which pillow-heif's documentation calls "lossless quality", gives the pixels back.
# Truth:  colour is stored at half the resolution: noise comes back off by 200 and more, a one-pixel red line as a wide, pale
#         one; with chroma=444, too, pixels are off by 1; of 16-bit gray the lower 6 bits are gone. Only 8-bit gray is exact, and
#         colour with both chroma=444 and matrix_coefficients=0.
# Seen:   pillow-heif 1.8.1, pillow 13.0.0, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pillow-heif==1.8.1 pillow==13.0.0 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import sys

import numpy as np
import PIL
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()
print("pillow-heif", pillow_heif.__version__, "pillow", PIL.__version__, "libheif", pillow_heif.libheif_version())
drawn = np.random.default_rng(0)
noise = drawn.integers(0, 256, (48, 64, 3)).astype(np.uint8)
line = np.full((48, 64, 3), 255, np.uint8)
line[:, 31] = 220, 20, 20
deep = drawn.integers(0, 65536, (48, 64)).astype(np.uint16)


def off(name, pixels, **how):
    """The largest difference to what was saved."""
    Image.fromarray(pixels).save("picture.heif", quality=-1, **how)
    back = np.asarray(Image.open("picture.heif"))
    if back.dtype != pixels.dtype or back.shape != pixels.shape:
        sys.exit("CHANGED: another shape or type is read")
    difference = int(np.abs(back.astype(int) - pixels).max())
    print(f"{name:12} quality=-1 {how}: off by up to {difference}")
    return difference


exact = [off("8-bit gray", noise[..., 0]), off("noise", noise, chroma=444, matrix_coefficients=0)]
lossy = [off("noise", noise), off("red line", line), off("noise", noise, chroma=444), off("16-bit gray", deep)]
if any(exact):
    sys.exit("CHANGED: what it is compared with does not hold")
if min(lossy) == 0:
    sys.exit("CHANGED: it is lossless")
print("HOLDS: off by up to", lossy)
PY
