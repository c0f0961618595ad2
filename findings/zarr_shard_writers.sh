#!/usr/bin/env bash
# Writers of different chunks of a sharded Zarr array overwrite one another.
#
# Guess:  as always in Zarr, chunks are the unit: workers that each write their own whole chunks need no lock, and sharding only
#         changes into how many files the chunks go.
# Truth:  a writer reads the whole shard, puts its chunks in and writes the shard; of those that do so at once the last remains, and
#         the others' chunks are the fill value again: zeros where latents were. No error, neither for threads nor for
#         processes. Without shards, or where a worker writes whole shards, nothing is lost.
# Seen:   zarr 3.1.6, two to four writers
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet zarr==3.1.6 numpy==2.4.6
cat > writers.py <<'PY'
import subprocess
import sys

import numpy as np
import zarr

CLIPS, WRITERS = 64, 4


def write(path, rank, step):
    """A worker: writes every fourth chunk, each a clip, or every fourth block of 16 clips."""
    array = zarr.open_array(path, mode="r+")
    for first in range(rank * step, CLIPS, WRITERS * step):
        array[first : first + step] = np.ones((step, 64, 64), "f4")


def lost(path, step, **layout):
    """Clips that are zeros after all workers have ended well."""
    zarr.create_array(path, shape=(CLIPS, 64, 64), chunks=(1, 64, 64), dtype="f4", **layout)
    command = [sys.executable, "writers.py", path, str(step)]
    workers = [subprocess.Popen([*command, str(rank)]) for rank in range(WRITERS)]
    if any(worker.wait() for worker in workers):
        sys.exit("CHANGED: a worker failed")
    return int((zarr.open_array(path, mode="r")[:] == 0).all(axis=(1, 2)).sum())


if sys.argv[1:]:
    write(sys.argv[1], int(sys.argv[3]), int(sys.argv[2]))
    sys.exit()
print("zarr", zarr.__version__, "numpy", np.__version__)
plain = lost("plain.zarr", 1)
blocks = lost("blocks.zarr", 16, shards=(16, 64, 64))
tries = []
while len(tries) < 5 and not any(tries):
    tries.append(lost(f"sharded{len(tries)}.zarr", 1, shards=(CLIPS, 64, 64)))
print(f"{WRITERS} processes write {CLIPS} clips, a chunk each; lost: {plain} without shards, {blocks} where each writes whole "
      f"shards, {tries[-1]} where they share one (try {len(tries)})")
if plain or blocks:
    sys.exit("CHANGED: what it is compared with does not hold")
if not any(tries):
    sys.exit("CHANGED: no chunk is lost")
print("HOLDS: clips that were written are zeros")
PY
venv/bin/python writers.py
