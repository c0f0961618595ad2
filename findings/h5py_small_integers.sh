#!/usr/bin/env bash
# h5py clips what does not fit into a small integer, where NumPy and Zarr wrap it, and a NaN becomes 0.
#
# Guess:  integers that do not fit are converted as NumPy's astype does: 300 and -1 are 44 and 255 in uint8, whichever store the
#         array is written to, or they are refused.
# Truth:  h5py leaves the conversion to HDF5, which clips to the type's limits: 255 and 0, infinity 255, NaN 0, without an
#         error or a warning. One array written to both stores is two, and masks of -1 are 0 in one and 255 in the other.
# Seen:   h5py 3.16.0 (HDF5 2.0.0), zarr 3.1.6, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet h5py==3.16.0 zarr==3.1.6 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import h5py
import numpy as np
import zarr

print("h5py", h5py.__version__, "HDF5", h5py.version.hdf5_version, "zarr", zarr.__version__, "numpy", np.__version__)
whole = np.array([300, -1, 7, 256], dtype=np.int64)
broken = np.array([300.5, -1, np.inf, np.nan, 7.5])
with warnings.catch_warnings(record=True) as warned, h5py.File("a.h5", "w") as file:
    warnings.simplefilter("always")
    stored = file.create_dataset("whole", whole.shape, dtype="u1")
    stored[:] = whole
    floats = file.create_dataset("floats", broken.shape, dtype="u1")
    floats[:] = broken
    of_h5py, of_floats, count = stored[:].tolist(), floats[:].tolist(), len(warned)
array = zarr.create_array("a.zarr", shape=whole.shape, dtype="u1")
array[:] = whole
of_zarr, of_numpy = array[:].tolist(), whole.astype(np.uint8).tolist()
print(f"{whole.tolist()} in uint8: NumPy {of_numpy}, Zarr {of_zarr}, h5py {of_h5py}")
print(f"{broken.tolist()} in uint8: h5py {of_floats}, {count} warnings")
if of_numpy != [44, 255, 7, 0] or of_zarr != of_numpy:
    sys.exit("CHANGED: what it is compared with does not hold")
if of_h5py != [255, 0, 7, 255] or of_floats != [255, 0, 255, 0, 7] or count:
    sys.exit("CHANGED: h5py does not clip, or says so")
print("HOLDS: h5py clips, and NaN is 0")
PY
