#!/usr/bin/env bash
# On the CPU, torch.randn's first numbers depend on how many are asked for.
#
# Guess:  a seed is a stream: randn(100) are the first hundred of randn(1000), and two draws of a thousand are one of two
#         thousand, as with torch.rand and numpy. So a longer video, or a batch of more samples, begins with the same noise.
# Truth:  normals are made in blocks of 16, and a size that is no multiple of 16 has its last 16 numbers drawn once more; below 16
#         another method draws them. Of 1000 numbers the last 16 differ from those of a longer draw; of 8, all. After a draw
#         of such a size the stream is elsewhere: of two draws of a thousand, the second is other numbers than the second half
#         of one. Latents of 4 x 5 x 7 x 9 are such a size. float64 has other numbers than float32; bfloat16 and float16 are those
#         of float32, rounded. Sizes that are multiples of 16 behave as guessed.
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

import numpy as np
import torch

print("torch", torch.__version__)


def seeded():
    return torch.Generator().manual_seed(3)


share = {}
for draw in (torch.randn, torch.rand):
    longest = draw(4096, generator=seeded())
    equal = {n: int((draw(n, generator=seeded()) == longest[:n]).sum()) for n in (8, 16, 17, 100, 1000, 1024)}
    stream = seeded()
    pieces = torch.cat([draw(1000, generator=stream) for _ in range(2)])
    halves = (pieces == draw(2000, generator=seeded()))[1000:].float().mean().item()
    stream = seeded()
    pieces = torch.cat([draw(1024, generator=stream) for _ in range(2)])
    whole = torch.equal(pieces, draw(2048, generator=seeded()))
    share[draw.__name__] = (equal, halves, whole)
    print(f"{draw.__name__:6} numbers of n that begin 4096: {equal}; second of two 1000s as in 2000: {halves:.2f};", end=" ")
    print(f"two 1024s are 2048: {whole}")
numbers = np.random.default_rng(3).standard_normal(2000)
stream = np.random.default_rng(3)
same = np.array_equal(np.concatenate([stream.standard_normal(1000) for _ in range(2)]), numbers)
print("numpy: two 1000s are 2000:", same)
clip = torch.randn(4, 5, 7, 9, generator=seeded())
batch = torch.randn(2, 4, 5, 7, 9, generator=seeded())
print("first clip of a batch as the clip alone:", f"{(batch[0] == clip).float().mean().item():.3f}")
if share["rand"] != ({n: n for n in (8, 16, 17, 100, 1000, 1024)}, 1.0, True) or not same or not share["randn"][2]:
    sys.exit("CHANGED: what it is compared with does not hold")
if share["randn"][0] != {8: 0, 16: 16, 17: 1, 100: 84, 1000: 984, 1024: 1024}:
    sys.exit("CHANGED: other numbers begin a longer draw")
if share["randn"][1] > 0.01 or torch.equal(batch[0], clip):
    sys.exit("CHANGED: two draws are one of twice the size")
print("HOLDS: 984 of 1000 normals begin a longer draw, and none of the next 1000 go on with it")
PY
