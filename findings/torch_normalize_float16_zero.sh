#!/usr/bin/env bash
# In float16 the eps of F.normalize and F.cosine_similarity is 0: one embedding of zeros makes NaN of every score.
#
# Guess:  both have an eps "to avoid division by zero" (1e-12 and 1e-8 by default), so that zeros stay zeros and are like nothing.
# Truth:  eps is applied in the tensor's own type, and float16's smallest number is 6e-8: both are 0 there, and an embedding of zeros (an
#         empty caption, a frame of padding) is NaN, as is the mean over a set that has one. float32 and bfloat16 give zeros. On the
#         other side, cosine_similarity in float32 says 0.04 of a vector of four numbers of 1e-9 and itself, since eps is larger
#         than its norm; normalised first it is 1.
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

import torch
import torch.nn.functional as F

print("torch", torch.__version__)
seen = {}
for kind in (torch.float32, torch.bfloat16, torch.float16):
    embeddings = torch.randn(1000, 512, generator=torch.Generator().manual_seed(0)).to(kind)
    embeddings[123] = 0.0
    texts = embeddings.roll(1, 0)
    unit = F.normalize(embeddings, dim=1)
    seen[kind] = {
        "normalize": int(unit.isnan().any(dim=1).sum()),
        "cosine_similarity": int(F.cosine_similarity(embeddings, texts).isnan().sum()),
        "mean": float(F.cosine_similarity(embeddings, texts).float().mean()),
        "with eps=1e-6": int(F.normalize(embeddings, dim=1, eps=1e-6).isnan().sum()),
    }
    print(f"{str(kind):15} rows of NaN: {seen[kind]}")
small = torch.full((1, 4), 1e-9)
alone, unit = float(F.cosine_similarity(small, small)), float(F.cosine_similarity(*[F.normalize(small)] * 2))
print(f"float32, four numbers of 1e-9 and themselves: {alone:.3f}; normalised first: {unit:.3f}")
for kind in (torch.float32, torch.bfloat16):
    if seen[kind]["normalize"] or seen[kind]["cosine_similarity"]:
        sys.exit("CHANGED: what it is compared with does not hold")
half = seen[torch.float16]
if (half["normalize"], half["cosine_similarity"], half["with eps=1e-6"]) != (1, 2, 0) or half["mean"] == half["mean"]:
    sys.exit("CHANGED: zeros in float16 are not NaN")
if abs(alone - 0.04) > 0.001 or abs(unit - 1) > 0.001:
    sys.exit("CHANGED: what cosine_similarity says of small vectors is another")
print("HOLDS: of a thousand embeddings in float16 one of zeros, and the mean score is", half["mean"])
PY
