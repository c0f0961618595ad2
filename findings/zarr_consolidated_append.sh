#!/usr/bin/env bash
# Two appends to a Zarr group with consolidated metadata, one after the other: the second overwrites the first.
#
# Guess:  an append lengthens the array, and who opens the group afterwards sees the new length, whether its metadata was
#         consolidated at some time or not.
# Truth:  open_group takes the lengths from the consolidated copy, which no append brings up to date. The next process sees the
#         rows of the day it was consolidated, and its own append writes over those added since: they are gone, and
#         nothing is said. open_group(..., use_consolidated=False), open_array and a new consolidate_metadata after each
#         change are right.
# Seen:   zarr 3.1.6, formats 2 and 3
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet zarr==3.1.6 numpy==2.4.6
cat > days.py <<'PY'
import subprocess
import sys
import warnings

import numpy as np
import zarr

warnings.simplefilter("ignore")


def add(path, value, **options):
    """A later job: opens the group and appends two latents."""
    zarr.open_group(path, mode="a", **options)["latents"].append(np.full((2, 3), value, "f4"))


if sys.argv[1:]:
    path, value, how = sys.argv[1:]
    add(path, int(value), **({"use_consolidated": False} if how == "fresh" else {}))
    sys.exit()

print("zarr", zarr.__version__, "numpy", np.__version__)
seen = {}
for version in (2, 3):
    for how in ("plain", "consolidated", "fresh"):
        path = f"{how}{version}.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=version)
        group.create_array("latents", shape=(2, 3), chunks=(1, 3), dtype="f4")[:] = 1
        if how != "plain":
            zarr.consolidate_metadata(path)
        for value in (2, 3):
            subprocess.run([sys.executable, "days.py", path, str(value), how], check=True)
        stored = zarr.open_array(f"{path}/latents", mode="r")[:, 0].astype(int).tolist()
        shown = zarr.open_group(path, mode="r")["latents"].shape[0]
        seen[version, how] = stored, shown
        print(f"format {version}, {how:12} 1 1, then 2 2, then 3 3: {stored}, of which a reader sees {shown}")
for version in (2, 3):
    if seen[version, "plain"] != ([1, 1, 2, 2, 3, 3], 6) or seen[version, "fresh"][0] != [1, 1, 2, 2, 3, 3]:
        sys.exit("CHANGED: what it is compared with does not hold")
    if seen[version, "consolidated"] != ([1, 1, 3, 3], 2):
        sys.exit("CHANGED: the second append comes after the first, or is refused")
print("HOLDS: the rows of the first append are gone")
PY
venv/bin/python days.py
