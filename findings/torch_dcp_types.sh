#!/usr/bin/env bash
# torch.distributed.checkpoint loads a float32 checkpoint into tensors of other types, integers among them, without a word.
#
# Guess:  dcp.load refuses a tensor whose type is not the stored one, as it refuses another shape.
# Truth:  values are cast to the tensor that is given: weights between -1 and 1 are all zeros in int32, and rounded in bfloat16,
#         with no error or warning. A tensor of another shape is refused.
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import torch
import torch.distributed.checkpoint as dcp

print("torch", torch.__version__)
warnings.simplefilter("ignore")
weights = torch.rand(4, 4, generator=torch.Generator().manual_seed(0)) * 1.8 - 0.9
dcp.save({"weights": weights}, checkpoint_id="a", no_dist=True)


def load(given):
    """The tensor after the load, or None where it was refused, and the warnings that are about it."""
    state = {"weights": given}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            dcp.load(state, checkpoint_id="a", no_dist=True)
        except (ValueError, RuntimeError, dcp.api.CheckpointException):
            return None, 0
    return state["weights"], sum("torch.distributed is disabled" not in str(entry.message) for entry in warned)


seen = {}
for kind in (torch.float32, torch.bfloat16, torch.int32):
    read, count = load(torch.full((4, 4), 7, dtype=kind))
    seen[kind] = None if read is None or count else read
    told = "refused" if read is None else f"off by {float((read.float() - weights).abs().max()):.4f}, type {read.dtype}, {count} warnings"
    print(f"float32 weights into {kind}: {told}")
other_shape, _ = load(torch.zeros(3, 4))
print("into another shape:", "refused" if other_shape is None else "loaded")
if other_shape is not None or seen[torch.float32] is None or not torch.equal(seen[torch.float32], weights):
    sys.exit("CHANGED: what it is compared with does not hold")
for kind in (torch.bfloat16, torch.int32):
    if seen[kind] is None or not torch.equal(seen[kind], weights.to(kind)):
        sys.exit(f"CHANGED: {kind} is not a cast without a word")
print("HOLDS: of", weights.count_nonzero().item(), "weights", seen[torch.int32].count_nonzero().item(), "are left in int32")
PY
