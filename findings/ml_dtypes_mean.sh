#!/usr/bin/env bash
# The mean of a bfloat16 array in NumPy is wrong from 257 values on: of a thousand ones it is 0.256.
#
# Guess:  mean() of ml_dtypes' bfloat16, which is what safetensors.numpy and JAX give, adds up as that of float16 does: the
#         mean of a thousand ones is 1.
# Truth:  NumPy has float32 sums for its own float16 only. Sums of bfloat16 are made in bfloat16, and 256 + 1 is 256: the sum
#         of a thousand ones is 256, their mean 0.256, their deviation 0.5; of float8 the sum stops at 16. The mean of each
#         channel of latents around 0.5 is 0.25, of larger ones less, and finite. `mean(dtype=np.float32)` is right, as is a
#         dot product, and as torch's bfloat16 is.
# Seen:   numpy 2.4.6, ml_dtypes 0.6.0, safetensors 0.8.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 ml_dtypes==0.6.0 safetensors==0.8.0
venv/bin/python - <<'PY'
import sys

import ml_dtypes
import numpy as np
import safetensors.numpy

print("numpy", np.__version__, "ml_dtypes", ml_dtypes.__version__, "safetensors", safetensors.__version__)
safetensors.numpy.save_file({"ones": np.ones(1000, ml_dtypes.bfloat16)}, "a.safetensors")
ones = safetensors.numpy.load_file("a.safetensors")["ones"]
if ones.dtype != ml_dtypes.bfloat16:
    sys.exit(f"CHANGED: safetensors.numpy gives {ones.dtype}")
seen = {}
for dtype in (np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn):
    array = ones.astype(dtype)
    seen[np.dtype(dtype).name] = found = {
        "sum": float(array.sum()),
        "mean": float(array.mean()),
        "std": float(array.std()),
        "mean in float32": float(array.mean(dtype=np.float32)),
        "dot": float(array @ array),
    }
    print(f"{np.dtype(dtype).name:14}", {name: round(value, 4) for name, value in found.items()})
latents = np.random.default_rng(0).normal(0.5, 1, (16, 64, 64)).astype(ml_dtypes.bfloat16)
means = latents.mean(axis=(1, 2)).astype(float), latents.mean(axis=(1, 2), dtype=np.float32)
print("mean of each channel of latents:", means[0][:4].round(4), "in float32", means[1][:4].round(4))
if seen["float16"]["mean"] != 1 or seen["bfloat16"]["mean in float32"] != 1 or seen["bfloat16"]["dot"] < 990:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["bfloat16"]["sum"] != 256 or not 0.25 < seen["bfloat16"]["mean"] < 0.26 or seen["bfloat16"]["std"] < 0.4:
    sys.exit(f"CHANGED: bfloat16 {seen['bfloat16']}")
if seen["float8_e4m3fn"]["sum"] != 16:
    sys.exit(f"CHANGED: float8 {seen['float8_e4m3fn']}")
print("HOLDS: the sum of a thousand ones is 256")
PY
