#!/usr/bin/env bash
# A virtual dataset of HDF5 whose files are not there reads as zeros, without an error.
#
# Guess:  a virtual dataset that puts shards together stops when a shard is missing, as opening the shard does, and as an external
#         link in HDF5 does.
# Truth:  the shard's part is the fill value, 0 for latents: also where the file is there and has no dataset of that name.
#         Relative paths are looked for beside the virtual file and in the current folder, so one that was copied alone has all
#         its values or none, depending on where the process was started. Its shape, type and `virtual_sources()` are as
#         before, and no exception, warning or flag tells. fillvalue=nan shows it.
# Seen:   h5py 3.16.0 (HDF5 2.0.0)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet h5py==3.16.0 numpy==2.4.6
venv/bin/python - <<'PY'
import os
import pathlib
import shutil
import sys
import warnings

import h5py
import numpy as np

warnings.simplefilter("error")
print("h5py", h5py.__version__, "HDF5", h5py.version.hdf5_version, "numpy", np.__version__)
for shard in range(3):
    with h5py.File(f"shard{shard}.h5", "w") as file:
        file["latents"] = np.full(4, shard + 1, "f4")


def join(path, **options):
    layout = h5py.VirtualLayout((3, 4), "f4")
    for shard in range(3):
        layout[shard] = h5py.VirtualSource(f"shard{shard}.h5", "latents", (4,), dtype="f4")
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("latents", layout, **options)
        file["link"] = h5py.ExternalLink("shard1.h5", "latents")


def firsts(path, folder="."):
    """The first number of each shard, as a process sees it whose current folder is this one."""
    before = pathlib.Path.cwd()
    path = pathlib.Path(path).resolve()
    os.chdir(folder)
    try:
        with h5py.File(path, "r") as file:
            return file["latents"][:, 0].tolist()
    finally:
        os.chdir(before)


join("all.h5")
join("nan.h5", fillvalue=float("nan"))
pathlib.Path("elsewhere").mkdir()
shutil.copy("all.h5", "elsewhere/all.h5")
seen = {
    "all there": firsts("all.h5"),
    "all there, from another folder": firsts("all.h5", "elsewhere"),
    "copied alone": firsts("elsewhere/all.h5"),
    "copied alone, from another folder": firsts("elsewhere/all.h5", "elsewhere"),
}
pathlib.Path("shard1.h5").rename("kept.h5")
seen["one missing"] = firsts("all.h5")
marked = firsts("nan.h5")
refused = 0
try:
    h5py.File("shard1.h5", "r")
except FileNotFoundError:
    refused += 1
try:
    h5py.File("all.h5", "r")["link"]
except KeyError:
    refused += 1
with h5py.File("shard1.h5", "w") as file:
    file["renamed"] = np.full(4, 2, "f4")
seen["other name in it"] = firsts("all.h5")
for name, values in seen.items():
    print(f"{name:34} {values}")
print(f"{'fillvalue=nan':34}", marked, "file and external link refused:", refused == 2)
here, away = seen["copied alone"], seen["copied alone, from another folder"]
if seen["all there"] != [1, 2, 3] or seen["all there, from another folder"] != [1, 2, 3] or refused != 2 or not np.isnan(marked[1]):
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["one missing"] != [1, 0, 3] or seen["other name in it"] != [1, 0, 3]:
    sys.exit("CHANGED: what is missing is no longer read as zeros")
if (here, away) != ([1, 2, 3], [0, 0, 0]):
    sys.exit("CHANGED: a file that was copied alone is looked for elsewhere, or refused")
print("HOLDS: missing shards are zeros")
PY
