#!/usr/bin/env bash
# pyvips reads a file once: after it was overwritten it gives the old picture.
#
# Guess:  pyvips.Image.new_from_file(name) gives what is in the file now.
# Truth:  libvips keeps its last operations, and an equal call is answered from there, whatever happened to the file: a loop
#         that writes each frame to frame.png and reads it gets the first frame each time, also where the size is another one
#         and all Python objects are gone. thumbnail reads the file again; with revalidate=True, or after cache_set_max(0),
#         new_from_file does.
# Seen:   pyvips 3.2.0 (libvips 8.18.7), pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyvips==3.2.0 pyvips-binary==8.18.7 pillow==13.0.0 numpy==2.4.6
cat > frames.py <<'PY'
import gc
import sys
from importlib.metadata import version

import numpy as np
import pyvips
from PIL import Image

print(*(f"{name} {version(name)}" for name in ("pyvips", "pyvips-binary", "pillow", "numpy")))
levels = [10, 60, 110, 160]


def read(way, name):
    """(width, gray level) of each of four frames that are written to one file, one after the other."""
    seen = []
    for place, level in enumerate(levels):
        Image.new("L", (32 + 8 * place, 32), level).save(name)
        picture = way(name)
        pixels = picture if isinstance(picture, np.ndarray) else picture.numpy()
        seen.append((pixels.shape[1], int(pixels.reshape(-1)[0])))
        del picture, pixels
        gc.collect()
    return seen


ways = {
    "Pillow": lambda name: np.asarray(Image.open(name)),
    "revalidate=True": lambda name: pyvips.Image.new_from_file(name, revalidate=True),
    "new_from_file": pyvips.Image.new_from_file,
    "thumbnail": lambda name: pyvips.Image.thumbnail(name, 16, height=16, size="force"),
}
seen = {}
for number, (name, way) in enumerate(ways.items()):
    seen[name] = read(way, f"frame{number}.png")
    print(f"{name:16} (width, level): {seen[name]}")
pyvips.cache_set_max(0)
without = read(pyvips.Image.new_from_file, "frame9.png")
print(f"cache_set_max(0) (width, level): {without}")
if any([level for _, level in one] != levels for one in (seen["Pillow"], seen["revalidate=True"], seen["thumbnail"], without)):
    sys.exit("CHANGED: what it is compared with does not hold")
if set(seen["new_from_file"]) != {(32, levels[0])}:
    sys.exit("CHANGED: the file is read again")
print("HOLDS: four frames, and the first one is read four times")
PY
venv/bin/python frames.py
