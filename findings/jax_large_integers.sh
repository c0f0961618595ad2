#!/usr/bin/env bash
# JAX keeps the low 32 bits of 64-bit integers of NumPy, and of a seed, and says nothing.
#
# Guess:  jnp.asarray of an int64 array that does not fit into JAX's int32 raises, as it does for one Python number.
# Truth:  numbers wrap around: a clip's time in nanoseconds, a hash or a row beyond 2^31 becomes another number, without a
#         warning, in asarray, device_put and at the door of a jitted function; jax.random.key(2**32 + 5) is that of 5.
# Seen:   jax 0.10.2, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cat > wrap.py <<'PY'
import sys
import warnings
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

print(*(f"{name} {version(name)}" for name in ("jax", "numpy")))
given = np.array([1_700_000_000_123_456_789, 2**32 + 5, 2**31], dtype=np.int64)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    found = {"asarray": jnp.asarray(given), "device_put": jax.device_put(given), "jit": jax.jit(lambda x: x)(given)}
    keys = [jax.random.key_data(jax.random.key(seed)).tolist() for seed in (5, 2**32 + 5)]
try:
    jnp.asarray(2**31)
    alone = "taken"
except OverflowError:
    alone = "OverflowError"
print(f"given {given.tolist()}; warnings: {[str(one.message)[:60] for one in said]}; 2**31 by itself: {alone}")
for name, array in found.items():
    print(f"{name}: {array.tolist()}, {array.dtype}")
print(f"keys of 5 and 2**32 + 5: {keys}")
if alone != "OverflowError":
    sys.exit("CHANGED: what it is compared with does not hold")
wrapped = given.astype(np.int32).tolist()
if said or keys[0] != keys[1] or any(array.tolist() != wrapped for array in found.values()):
    sys.exit("CHANGED: it is said, or the numbers are whole")
print("HOLDS: three numbers became others, and two seeds one")
PY
JAX_PLATFORMS=cpu venv/bin/python wrap.py
