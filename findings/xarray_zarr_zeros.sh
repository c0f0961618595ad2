#!/usr/bin/env bash
# xarray reads what is 0 in an array of Zarr's format 2 as missing.
#
# Guess:  xr.open_zarr gives the numbers and the type that are in the array; fill_value is what stands in chunks nobody wrote.
# Truth:  in format 2 the fill value, 0 unless another one was asked for, is taken for "missing": black pixels of a uint8 video and
#         class 0 are NaN, all is float32 or float64, and two ids that differ in the last digit are one. A mean leaves the black
#         pixels out. use_zarr_fill_value_as_mask=False, documented as "the fill_value is ignored and the data are not masked", changes
#         nothing; mask_and_scale=False does, and in format 3 the numbers are those stored.
# Seen:   xarray 2026.9.0, zarr 3.1.6, numpy 2.4.6. The masking is documented, that the argument is not passed on is issue 10269 of
#         pydata/xarray.
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet xarray==2026.9.0 zarr==3.1.6 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import numpy as np
import xarray
import zarr

print("xarray", xarray.__version__, "zarr", zarr.__version__, "numpy", np.__version__)
pixels = (np.arange(24) % 4).astype(np.uint8).reshape(4, 2, 3)  # a quarter of them black
ids = np.array([0, 1, 2**53, 2**53 + 1])


def written(form):
    group = zarr.open_group(f"{form}.zarr", mode="w", zarr_format=form)
    for name, values, axes in (("video", pixels, ["t", "y", "x"]), ("id", ids, ["t"])):
        named = {"dimension_names": axes} if form == 3 else {"attributes": {"_ARRAY_DIMENSIONS": axes}}
        group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=values.shape, **named)[...] = values
        if not np.array_equal(group[name][...], values):
            sys.exit("CHANGED: what it is compared with does not hold")


seen = {}
for form, options in ((2, {}), (2, {"mask_and_scale": False}), (2, {"use_zarr_fill_value_as_mask": False}), (3, {})):
    written(form)
    data = xarray.open_zarr(f"{form}.zarr", consolidated=False, chunks=None, **options)
    video, found = data["video"].values, data["id"].values
    name = f"format {form} {', '.join(f'{key}={value}' for key, value in options.items())}"
    print(f"{name:44} {video.dtype} {video[0].ravel().tolist()} mean {float(data['video'].mean()):.2f}; id {found.dtype} {found.tolist()}")
    seen[name] = np.array_equal(video, pixels) and video.dtype == pixels.dtype and np.array_equal(found, ids) and found.dtype == ids.dtype
plain, unscaled, told, newer = seen.values()
if not unscaled or not newer:
    sys.exit("CHANGED: what it is compared with does not hold")
if plain or told:
    sys.exit("CHANGED: zeros are zeros in format 2")
print("HOLDS: black pixels are missing")
PY
