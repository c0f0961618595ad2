#!/usr/bin/env bash
# A class folder called `train` or `test` makes Hugging Face's imagefolder drop all other classes.
#
# Guess:  load_dataset("imagefolder", data_dir=...) of the folders bus, car, train gives three classes, as bus, car, tram
#         does and as torchvision's ImageFolder does.
# Truth:  `train` is taken for a split. The split "train" then holds the pictures of that folder alone, there is no
#         `label` column, and bus and car are gone, without a warning (COCO and CIFAR-100 have a class "train"). One
#         folder or file with the word test in its name ("crash-test.png") does the same: the rest is left out.
# Seen:   datasets 5.2.0 (the rule is that of all folder and file loaders: videofolder, audiofolder, parquet, ...)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pillow==13.0.0
export HF_HOME="$work/cache" HF_HUB_OFFLINE=1
venv/bin/python - <<'PY'
import sys
from pathlib import Path

import datasets
from PIL import Image

print("datasets", datasets.__version__)
datasets.disable_progress_bars()


def load(name, *files):
    for file in files:
        path = Path(name, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    loaded = datasets.load_dataset("imagefolder", data_dir=name)
    seen = {
        split: (len(rows), rows.features["label"].names if "label" in rows.features else None)
        for split, rows in loaded.items()
    }
    print(f"{len(files)} pictures {', '.join(files)}\n    -> {seen}")
    return seen


tram = load("tram", "bus/0.png", "bus/1.png", "car/0.png", "car/1.png", "tram/0.png", "tram/1.png")
train = load("train", "bus/0.png", "bus/1.png", "car/0.png", "car/1.png", "train/0.png", "train/1.png")
test = load("flat", "dog.png", "cat.png", "crash-test.png")
if tram != {"train": (6, ["bus", "car", "tram"])}:
    sys.exit("CHANGED: what it is compared with does not hold")
if train != {"train": (2, None)}:
    sys.exit("CHANGED: a class called train is a class")
if test != {"test": (1, None)}:
    sys.exit("CHANGED: a file with test in its name does not hide the others")
print("HOLDS: 2 of 6 pictures and no label with the class train; 1 of 3 with the file crash-test.png")
PY
