#!/usr/bin/env bash
# torch.rand in bfloat16 turns its largest numbers into 0: one in 512.
#
# Guess:  torch.rand(n, dtype=torch.bfloat16) is torch.rand(n) rounded; exact zeros are as rare as there (one in 16
#         million), and the share of values below p is p.
# Truth:  it is, but what rounds up to 1.0, which must not come out, becomes 0. So one in 512 is 0, its log is -inf, and
#         `rand < 0.001` holds for 0.3 percent, three times as often as asked; float16 has a 0 in 4000. A dropout of
#         conditions, a timestep or Gumbel noise drawn in the model's type is off; torch.bernoulli(p) is not.
# Seen:   torch 2.13.0 on the CPU
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

print("torch", torch.__version__)
count, p, seen = 2**22, 1e-3, {}
for kind in (torch.float32, torch.float16, torch.bfloat16):
    drawn = torch.rand(count, dtype=kind, generator=torch.Generator().manual_seed(0))
    rounded = torch.rand(count, generator=torch.Generator().manual_seed(0)).to(kind)
    picked = torch.bernoulli(torch.full((count,), p, dtype=kind), generator=torch.Generator().manual_seed(0))
    wrapped = rounded[drawn != rounded]  # of the same seed, where the two differ
    seen[kind] = zeros, below = (drawn == 0).float().mean().item(), (drawn < p).float().mean().item()
    print(
        f"{kind!s:15} zeros {zeros:.6f}  below 0.001 {below:.6f}  smallest log {drawn.log().min().item():.1f}"
        f"   rounded from float32: zeros {(rounded == 0).float().mean().item():.6f}"
        f" below {(rounded < p).float().mean().item():.6f}   bernoulli {picked.float().mean().item():.6f}"
    )
    if not (wrapped == 1).all() or (kind != torch.float32 and not len(wrapped)):
        sys.exit("CHANGED: it is not what rounds to 1 that becomes 0")
if abs(seen[torch.float32][1] - p) > 1e-4 or seen[torch.float32][0] > 1e-5:
    sys.exit("CHANGED: what it is compared with does not hold")
if abs(seen[torch.bfloat16][0] - 1 / 512) > 1e-4 or abs(seen[torch.bfloat16][1] - 0.0029) > 2e-4:
    sys.exit("CHANGED: bfloat16 has other shares")
print("HOLDS: what rounds to 1 becomes 0: one in 512 is 0, 0.3 percent are below 0.001")
PY
