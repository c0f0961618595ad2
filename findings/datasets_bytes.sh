#!/usr/bin/env bash
# Hugging Face's numpy and torch formats cut zeros off bytes, and a batched map in the numpy format writes videos back as b"".
#
# Guess:  a column of bytes (an encoded clip, packed latents) has no tensor form, so with_format("torch") and "numpy" hand it out as
#         it is, as they do with text.
# Truth:  it passes through a NumPy array of fixed width, which drops zero bytes at the end: latents whose last value is 0 are
#         short, and a function of map that returns its row writes the short bytes back. With map(batched=True) in the numpy
#         format PyArrow stores the array, and takes each value up to its first zero byte only: an MP4, which begins with one,
#         becomes b"". So does pa.array(np.array([video])). No error; the number of rows is right. "pandas", "polars" and
#         no format keep the bytes, and so do columns that the function does not return.
# Seen:   datasets 5.2.0, pyarrow 25.0.1, numpy 2.4.6, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pyarrow==25.0.1 numpy==2.4.6 torch==2.13.0
venv/bin/python - <<'PY'
import sys

import datasets
import numpy as np
import pyarrow as pa
import torch

print("datasets", datasets.__version__, "pyarrow", pa.__version__, "numpy", np.__version__, "torch", torch.__version__)
datasets.disable_progress_bars()
mp4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + b"moov" + bytes(range(64)) + b"\0\0\0\0"
latents = np.array([1, 0.5, 0, 0], np.float16).tobytes()
rows = [mp4, latents]
table = datasets.Dataset.from_dict({"video": rows, "frames": [17, 17]})


def count(row):
    row["seconds"] = row["frames"] / 24
    return row


def lengths(values):
    return [len(value) for value in values]


print("stored:", lengths(rows))
read, row_by_row, returned, batched, kept = {}, {}, {}, {}, {}
for name in (None, "numpy", "torch", "pandas", "polars"):
    seen = table.with_format(name)
    read[name] = [bytes(value) for value in seen[:]["video"]]
    one = [seen[n]["video"] for n in range(2)]
    row_by_row[name] = [bytes(v if isinstance(v, bytes) else v[0]) for v in one]
    if name in (None, "numpy", "torch"):
        returned[name] = seen.map(count).with_format(None)[:]["video"]
        batched[name] = seen.map(lambda rows: rows, batched=True).with_format(None)[:]["video"]
        kept[name] = seen.map(lambda row: {"seconds": row["frames"] / 24}).with_format(None)[:]["video"]
    print(f"{name!s:8} read {lengths(read[name])}, row by row {lengths(row_by_row[name])}")
for name in kept:
    print(f"map, {name!s:5} returns the row {lengths(returned[name])}, the batch {lengths(batched[name])}, "
          f"a new column only {lengths(kept[name])}")
arrow = pa.array(np.array(rows)).to_pylist()
print("pa.array of the NumPy array:", lengths(arrow))
if any(read[name] != rows or row_by_row[name] != rows for name in (None, "pandas", "polars")):
    sys.exit("CHANGED: what it is compared with does not hold")
if returned[None] != rows or batched[None] != rows:
    sys.exit("CHANGED: a map without a format changes the bytes")
if any(kept[name] != rows for name in kept):
    sys.exit("CHANGED: columns that map does not return are changed, too")
cut = [value.rstrip(b"\0") for value in rows]
if any(seen[name] != cut for name in ("numpy", "torch") for seen in (read, row_by_row, returned)):
    sys.exit("CHANGED: the formats keep zeros at the end")
ended = [value.split(b"\0")[0] for value in rows]
if arrow != ended or batched["numpy"] != ended:
    sys.exit("CHANGED: PyArrow takes the bytes beyond a zero")
print("HOLDS: bytes lose their zeros when they are read, and all from the first one on when a batch is written back")
PY
