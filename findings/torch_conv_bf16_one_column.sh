#!/usr/bin/env bash
# A strided convolution in bfloat16 is wrong where its output is one column wide, on processors with AMX.
#
# Guess:  F.conv2d in bfloat16 is the convolution, up to rounding, whatever the sizes.
# Truth:  where the processor has AMX, an output of one column with a stride of 2 in width has sums of other inputs, in
#         two thirds of its cells and more: 2D and 3D, kernels of 2 to 4 columns, with padding or without, from a few
#         rows on. Two columns are right, so are a stride of 1, float32, and AVX-512's own bfloat16
#         (ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16). A network that halves a picture until it is one column wide meets it.
# Seen:   torch 2.13.0 on the CPU
set -euo pipefail
unset PYTHONPATH ONEDNN_MAX_CPU_ISA
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat >look.py <<'PY'
import sys

import torch
import torch.nn.functional as F


def wrong(columns: int, stride: tuple[int, int], kind: torch.dtype) -> float:
    """Share of the outputs that are not the exact sums. Of whole numbers, so that nothing is rounded."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-1, 2, (2, 32, 40, 3 + stride[1] * (columns - 1)), generator=generator).to(kind)
    weight = torch.randint(-1, 2, (32, 32, 3, 3), generator=generator).to(kind)
    exact = F.conv2d(x.double(), weight.double(), stride=stride)
    found = F.conv2d(x, weight, stride=stride)
    assert found.shape[-1] == columns and exact.abs().max() <= 256
    return (found.double() != exact).double().mean().item()


if not torch.cpu._is_amx_tile_supported():
    sys.exit(print("SKIPPED: this processor has no AMX"))
one = wrong(1, (2, 2), torch.bfloat16)
right = {
    "two columns": wrong(2, (2, 2), torch.bfloat16),
    "stride 1": wrong(1, (1, 1), torch.bfloat16),
    "float32": wrong(1, (2, 2), torch.float32),
}
print("torch", torch.__version__, f"wrong: one column, stride 2: {one:.2f};", right)
if "without AMX" in sys.argv:
    sys.exit(print("without AMX: right") if one == 0 else "CHANGED: it is wrong without AMX, too")
if any(right.values()):
    sys.exit("CHANGED: what it is compared with is wrong, too")
if one < 0.5:
    sys.exit("CHANGED: one column with a stride is right")
print("HOLDS: one column with a stride of 2 is wrong")
PY
venv/bin/python look.py
ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 venv/bin/python look.py "without AMX"
