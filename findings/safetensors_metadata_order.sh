#!/usr/bin/env bash
# safetensors writes other bytes each time it saves the same tensors with two or more entries of metadata.
#
# Guess:  the same tensors and metadata give the same file: tensors are sorted, nothing in it is random.
# Truth:  the metadata goes through a hash map with a random start, so its entries change places from save to save, also
#         within one process. A model's SHA-256 is another although nothing differs; a pipeline that compares hashes
#         takes every later stage for stale. With one entry, or none, the bytes are the same.
# Seen:   safetensors 0.8.0
# Known:  https://github.com/safetensors/safetensors/issues/584
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet safetensors==0.8.0 numpy==2.4.6
venv/bin/python - <<'PY'
import hashlib
import sys

import numpy
import safetensors
from safetensors.numpy import save

print("safetensors", safetensors.__version__)
tensors = {"weight": numpy.ones((2, 3), numpy.float32), "bias": numpy.zeros(3, numpy.float32)}
metadata = {"format": "pt", "step": "1000", "seed": "0", "recipe": "base", "width": "64", "layers": "4"}


def hashes(kept):
    return [hashlib.sha256(save(tensors, metadata=kept)).hexdigest()[:8] for _ in range(6)]


all_six, one, none = hashes(metadata), hashes({"format": "pt"}), hashes(None)
print("six saves with six entries:", *all_six)
print("with one entry:            ", *one)
print("without metadata:          ", *none)
if len(set(one)) > 1 or len(set(none)) > 1:
    sys.exit("CHANGED: what it is compared with does not hold")
if len(set(all_six)) == 1:
    sys.exit("CHANGED: the same metadata gives the same bytes")
print(f"HOLDS: {len(set(all_six))} different files for the same content")
PY
