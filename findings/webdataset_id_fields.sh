#!/usr/bin/env bash
# webdataset's decode("rgb") makes whole numbers of the fields called id, index, inx, cls and cls2.
#
# Guess:  decode("rgb") decodes the pictures; a text field comes as bytes or as text, whatever it is called, so that the id "007" of
#         a clip is not that of "7".
# Truth:  every call of decode also makes an int of what those five fields hold: "007" and "7" are 7, "1_000" is 1000. The same
#         text in fields called name, clip or uid stays bytes, in txt it is text. Without decode all are bytes. No warning.
# Seen:   webdataset 1.0.2, numpy 2.4.6, pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet webdataset==1.0.2 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
import importlib.metadata
import sys
import warnings

import numpy as np
import webdataset

print("webdataset", importlib.metadata.version("webdataset"), "numpy", np.__version__)
warnings.simplefilter("error", UserWarning)
numbered, others = ("id", "index", "inx", "cls", "cls2"), ("name", "clip", "uid")
clips = ["007", "7", "1_000", "00001000"]
with webdataset.TarWriter("a.tar") as file:
    for place, clip in enumerate(clips):
        picture = np.full((4, 4, 3), 100, np.uint8)
        file.write({"__key__": str(place), "png": picture, "txt": clip} | {name: clip.encode() for name in (*numbered, *others)})


def read(*how):
    """Of each field, what the four samples have."""
    stream = webdataset.WebDataset("a.tar", shardshuffle=False)
    rows = list(stream.decode(*how) if how else stream)
    return {name: [row[name] for row in rows] for name in (*numbered, *others, "txt")}


plain, decoded = read(), read("rgb")
written = [clip.encode() for clip in clips]
print("without decode:", {name: plain[name] for name in ("id", "uid")})
print('decode("rgb"):', {name: decoded[name] for name in ("id", "uid", "txt")})
if any(plain[name] != written for name in plain) or any(decoded[name] != written for name in others) or decoded["txt"] != clips:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(decoded[name] != [7, 7, 1000, 1000] for name in numbered):
    sys.exit("CHANGED: text in fields of those names stays as it was")
print("HOLDS: four ids are two numbers")
PY
