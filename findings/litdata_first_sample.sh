#!/usr/bin/env bash
# litdata reads all arrays of a dataset as the first sample's type.
#
# Guess:  optimize() stores each array with its type and shape, or refuses one that differs from the first sample's, as it
#         refuses a float where the first sample has an integer.
# Truth:  arrays and tensors with one axis are stored without either, and the type of the first sample is that of all: a float64
#         array after a float32 one comes back as twice as many other numbers, int64 after uint8 as eight times as many, a
#         picture after a row of numbers without its shape, and 7 after True as True. A PIL picture with a palette comes back
#         without it: all colours are gone. No word of any of it.
# Seen:   litdata 0.2.76, torch 2.13.0, numpy 2.4.6, pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet litdata==0.2.76 torch==2.13.0 numpy==2.4.6 pillow==13.0.0
cat > seen.py <<'PY'
import os
import sys

os.environ["DISABLE_VERSION_CHECK"] = "1"
import litdata
import numpy as np
import torch
from PIL import Image

colours = np.zeros((4, 6, 3), np.uint8)
colours[:, :3], colours[:, 3:] = (220, 20, 20), (20, 20, 220)
palette = Image.fromarray(colours).quantize(8)
rows = [
    {"wide": np.array([1.0, 2.0], np.float32), "long": np.arange(3, dtype=np.uint8), "tensor": torch.ones(2), "shape": np.arange(6), "flag": True, "picture": palette, "same": np.arange(3)},
    {"wide": np.array([1.0, 2.0]), "long": np.arange(3), "tensor": torch.ones(2).double(), "shape": np.arange(6).reshape(2, 3), "flag": 7, "picture": palette, "same": np.arange(4)},
]


def give(number):
    return rows[number]


def text(value):
    return f"{value.dtype} {value.tolist()}" if hasattr(value, "dtype") else str(value)


def main():
    print("litdata", litdata.__version__, "torch", torch.__version__, "numpy", np.__version__)
    litdata.optimize(fn=give, inputs=[0, 1], output_dir="data", chunk_bytes="1MB", num_workers=1)
    data = litdata.StreamingDataset("data")
    first, second = data[0], data[1]
    for name in ("wide", "long", "tensor", "shape", "flag", "same"):
        print(f"{name:7} stored {text(rows[1][name]):35} read {text(second[name])[:70]}")
    stored, read = (np.asarray(picture.convert("RGB"))[0, [0, -1]].tolist() for picture in (palette, first["picture"]))
    print(f"picture stored {stored} read {read}")
    if text(first["wide"]) != text(rows[0]["wide"]) or text(second["same"]) != text(rows[1]["same"]):
        sys.exit("CHANGED: what it is compared with does not hold")
    sizes = [len(second[name]) // len(rows[1][name]) for name in ("wide", "long", "tensor")]
    if sizes != [2, 8, 2] or second["shape"].shape != (6,) or second["flag"] is not True:
        sys.exit("CHANGED: the second sample has its own types and shape")
    if any(len(set(pixel)) > 1 for pixel in read):
        sys.exit("CHANGED: the palette is kept")
    print("HOLDS: arrays of the second sample are", sizes, "times as long")


if __name__ == "__main__":
    main()
PY
venv/bin/python -W ignore seen.py
