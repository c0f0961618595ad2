#!/usr/bin/env bash
# safetensors.numpy writes the numbers of a transposed, sliced or reversed array in another order.
#
# Guess:  save_file({"video": frames.transpose(0, 3, 1, 2)}) of NumPy stores that array, or refuses it, as safetensors.torch
#         does ("you are trying to save a non contiguous tensor").
# Truth:  it stores the array's shape and the memory that the view begins at, without a word (0.7 stored the array): the
#         transposed array comes back with right shape and type and wrong contents, a slice with its neighbours. Frames
#         brought from height, width, channels to channels first, transposed weights, a PCA of scikit-learn and every second
#         frame are such views. np.ascontiguousarray before saving is the remedy.
# Seen:   safetensors 0.8.0, numpy 2.4.6, torch 2.13.0
# Known:  https://github.com/safetensors/safetensors/issues/825 (open)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet safetensors==0.8.0 numpy==2.4.6 torch==2.13.0
venv/bin/python - <<'PY'
import sys

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

print("safetensors", safetensors.__version__, "numpy", np.__version__, "torch", torch.__version__)
frames = np.arange(4 * 6 * 8 * 3, dtype=np.uint8).reshape(4, 6, 8, 3)
weights = np.arange(6, dtype=np.float32).reshape(2, 3)
arrays = {
    "frames": frames,
    "channels first": frames.transpose(0, 3, 1, 2),
    "every second column": weights[:, ::2],
    "first columns": weights[:, :2],
    "Fortran order": np.asfortranarray(weights),
    "made contiguous": np.ascontiguousarray(frames.transpose(0, 3, 1, 2)),
}
seen, refused = {}, {}
for name, array in arrays.items():
    safetensors.numpy.save_file({"array": array}, "a.safetensors")
    read = safetensors.numpy.load_file("a.safetensors")["array"]
    seen[name] = read.shape == array.shape and bool((read == array).all())
    try:
        safetensors.torch.save_file({"array": torch.from_numpy(array)}, "b.safetensors")
        refused[name] = False
    except ValueError:
        refused[name] = True
    print(f"{name:20} shape {read.shape}, same numbers: {seen[name]}, refused by safetensors.torch: {refused[name]}")
right = [name for name, same in seen.items() if same]
if refused != {name: name not in ("frames", "made contiguous") for name in arrays}:
    sys.exit(f"CHANGED: safetensors.torch refuses others: {refused}")
if right != ["frames", "made contiguous"]:
    sys.exit(f"CHANGED: these are right: {right}")
print("HOLDS: views come back with other numbers")
PY
