#!/usr/bin/env bash
# Pillow writes fewer frames than it is given, where two in a row are equal: in APNG and WebP as in GIF, and not in AVIF.
#
# Guess:  a clip of 8 pictures saved with save_all=True has 8 frames when it is read again, at least in a lossless format;
#         only GIF is known to save on what stands still.
# Truth:  a frame that equals the one before is left out and its duration is added there, in APNG, WebP and GIF; AVIF and TIFF keep
#         all. So the fifth frame of a clip with a pause is another picture, n_frames is 4 for 8, and a model's input
#         that counts on T frames comes out short. The total time is right.
# Seen:   pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import numpy as np
import PIL
from PIL import Image

print("pillow", PIL.__version__)
levels = [10, 10, 50, 50, 50, 90, 10, 10]
clip = [Image.fromarray(np.full((32, 32, 3), level, np.uint8)) for level in levels]
seen = {}
for kind, settings in (("gif", {}), ("png", {}), ("webp", {"lossless": True}), ("avif", {"quality": 100}), ("tiff", {})):
    clip[0].save(f"clip.{kind}", save_all=True, append_images=clip[1:], duration=100, **settings)
    with Image.open(f"clip.{kind}") as again:
        shown, times = [], []
        for number in range(again.n_frames):
            again.seek(number)
            shown.append(round(np.asarray(again.convert("RGB")).mean()))
            times.append(again.info.get("duration"))
    seen[kind] = (len(shown), sum(times) if kind != "tiff" else None)
    print(f"{kind:5} {len(shown)} frames of levels {shown}, durations {times}")
if seen["avif"] != (8, 800) or seen["tiff"][0] != 8:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[kind] != (4, 800) for kind in ("gif", "png", "webp")):
    sys.exit("CHANGED: equal frames are kept")
print("HOLDS: of 8 frames 4 are left in GIF, APNG and WebP, and 8 in AVIF and TIFF")
PY
