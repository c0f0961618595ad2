#!/usr/bin/env bash
# A picture that was opened from a file and then changed is stored by datasets as the file has it.
#
# Guess:  a PIL picture that is put into a dataset is stored with the pixels it has.
# Truth:  while it still knows the name of the file that it was opened from, datasets takes the file: what was drawn, pasted
#         or made smaller in place (ImageDraw, paste, putpixel, thumbnail) is not in the dataset, from from_dict and
#         from_generator as well as from map, for PNG as for JPEG. So a face that was made black is there again, and
#         thumbnails have their full size. What returns a new picture (copy, convert, resize, crop) is stored as it is. No
#         warning.
# Seen:   datasets 5.2.0, pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HF_HOME=$work/cache HF_HUB_OFFLINE=1
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pillow==13.0.0 numpy==2.4.6
cat > picture.py <<'PY'
import sys
from importlib.metadata import version

import datasets
import numpy as np
from PIL import Image, ImageDraw

print(*(f"{name} {version(name)}" for name in ("datasets", "pillow", "numpy")))
datasets.disable_progress_bars()
FEATURES = datasets.Features({"image": datasets.Image()})


def drawn(name):
    """A white picture whose middle, a face, is made black."""
    picture = Image.open(name)
    ImageDraw.Draw(picture).rectangle((16, 8, 47, 39), fill="black")
    return picture


def pasted(name):
    picture = Image.open(name)
    picture.paste("black", (16, 8, 48, 40))
    return picture


def small(name):
    picture = Image.open(name)
    picture.thumbnail((32, 24))
    return picture


def generated(picture):
    yield {"image": picture}


def stored(picture, way):
    if way == "from_dict":
        table = datasets.Dataset.from_dict({"image": [picture]}, features=FEATURES)
    elif way == "from_generator":
        table = datasets.Dataset.from_generator(generated, gen_kwargs={"picture": picture}, features=FEATURES)
    else:
        table = datasets.Dataset.from_dict({"row": [0]}).map(lambda row: {"image": picture}, features=datasets.Features({"row": datasets.Value("int64"), **FEATURES}))
    return look(table[0]["image"])


def look(picture):
    """Its size, and whether its middle is black."""
    pixels = np.asarray(picture.convert("L"))
    return picture.size, bool(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2] < 64)


full, black, little = ((64, 48), False), ((64, 48), True), ((32, 24), False)
fresh, lost = [], []
for kind in ("png", "jpg"):
    name = f"face.{kind}"
    Image.new("RGB", (64, 48), "white").save(name)
    for change, wanted in ((drawn, black), (pasted, black), (small, little)):
        if look(change(name)) != wanted:
            sys.exit("CHANGED: Pillow does not change the picture in place")
        seen = {way: stored(change(name), way) for way in ("from_dict", "from_generator", "map")}
        copied = stored(change(name).copy(), "from_dict")
        print(f"{kind} {change.__name__:7} (size, black middle) in memory {wanted}, a copy's {copied}, stored {seen}")
        fresh.append(copied == wanted)
        lost.extend(value == full for value in seen.values())
if not all(fresh):
    sys.exit("CHANGED: what it is compared with does not hold")
if not all(lost):
    sys.exit(f"CHANGED: {lost.count(False)} of {len(lost)} pictures are stored as they are")
print(f"HOLDS: {len(lost)} of {len(lost)} pictures are stored as the file has them")
PY
venv/bin/python picture.py
