#!/usr/bin/env bash
# A list of a picture's frames made with Pillow's ImageSequence.Iterator is one picture many times: the last frame.
#
# Guess:  list(ImageSequence.Iterator(picture)) are the frames.
# Truth:  each step seeks in the picture and gives the picture itself: the list has as many entries as there are frames, all of
#         them the same object, which shows the last one. Used one by one in a loop they are right, as is all_frames.
# Seen:   pillow 13.0.0: GIF, APNG, WebP, TIFF
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0
venv/bin/python - <<'PY'
import sys

import PIL
from PIL import Image, ImageSequence

print("pillow", PIL.__version__)
frames = [Image.new("RGB", (8, 8), (level, level, level)) for level in (0, 60, 120, 180, 240)]


def red(picture):
    return picture.convert("RGB").getpixel((0, 0))[0]


seen = {}
for kind in ("gif", "png", "webp", "tiff"):
    frames[0].save(f"a.{kind}", save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(f"a.{kind}") as picture:
        one_by_one = [red(frame) for frame in ImageSequence.Iterator(picture)]
    with Image.open(f"a.{kind}") as picture:
        copies = [red(frame) for frame in ImageSequence.all_frames(picture)]
    with Image.open(f"a.{kind}") as picture:
        listed = [red(frame) for frame in list(ImageSequence.Iterator(picture))]
    seen[kind] = one_by_one, copies, listed
    print(f"{kind:4} one by one {one_by_one}, all_frames {copies}, list {listed}")
for kind, (one_by_one, copies, listed) in seen.items():
    if one_by_one != [0, 60, 120, 180, 240] or copies != one_by_one:
        sys.exit(f"CHANGED: what it is compared with does not hold in {kind}")
    if listed != [240] * 5:
        sys.exit(f"CHANGED: the list of {kind} is of other frames")
print("HOLDS: the list is the last frame five times")
PY
