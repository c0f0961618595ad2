#!/usr/bin/env bash
# A Zarr array that is made shorter and longer again has old values where it grew.
#
# Guess:  what resize adds to an array is the fill value, as in HDF5.
# Truth:  chunks that are wholly cut off are deleted, the one that the new end lies in stays as it is: made longer again, with
#         resize or append and resize, the array has the values that were cut off, up to that chunk's end, and the fill value
#         after it. What was cut off to be gone is there again, and rows that were never written look written.
# Seen:   zarr 3.1.6, formats 2 and 3; h5py 3.16.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet zarr==3.1.6 h5py==3.16.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import h5py
import numpy as np
import zarr

print("zarr", zarr.__version__, "h5py", h5py.__version__, "numpy", np.__version__)


def shortened(array):
    """Twelve values in chunks of six, cut to four, and long again."""
    array[:] = np.arange(12)
    array.resize((4,))
    array.resize((12,))
    return array[:].astype(int).tolist()


seen = {}
for version in (2, 3):
    array = zarr.create_array(f"a{version}.zarr", shape=(12,), chunks=(6,), dtype="f4", fill_value=-1, zarr_format=version)
    seen[f"zarr, format {version}"] = shortened(array)
with h5py.File("a.h5", "w") as file:
    seen["h5py"] = shortened(file.create_dataset("a", (12,), maxshape=(None,), chunks=(6,), dtype="f4", fillvalue=-1))
for name, values in seen.items():
    print(f"{name:15} 0 .. 11 in chunks of six, cut to four, and long again: {values}")
if seen["h5py"] != [0, 1, 2, 3] + [-1] * 8:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[f"zarr, format {version}"] != [0, 1, 2, 3, 4, 5] + [-1] * 6 for version in (2, 3)):
    sys.exit("CHANGED: the array grows by the fill value")
print("HOLDS: the values that were cut off come back within the chunk")
PY
