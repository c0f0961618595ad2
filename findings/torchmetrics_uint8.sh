#!/usr/bin/env bash
# torchmetrics' MeanSquaredError and MeanAbsoluteError are wrong on uint8 pictures, PSNR is right.
#
# Guess:  metrics of one package treat uint8 pictures alike: PeakSignalNoiseRatio takes them (it was mended for them),
#         so the errors do too, or refuse.
# Truth:  the errors subtract and square in uint8, modulo 256, without a warning. SSIM raises.
# Seen:   torchmetrics 1.9.0, torch 2.13.0
# Known:  https://github.com/Lightning-AI/torchmetrics/issues/2787 (PSNR alone)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0
venv/bin/python - <<'PY'
import sys

import torch
import torchmetrics
from torchmetrics import MeanAbsoluteError, MeanSquaredError
from torchmetrics.image import PeakSignalNoiseRatio

print("torch", torch.__version__, "torchmetrics", torchmetrics.__version__)
dark = torch.full((1, 3, 8, 8), 10, dtype=torch.uint8)
bright = torch.full((1, 3, 8, 8), 26, dtype=torch.uint8)  # 16 apart: MAE 16, MSE 256, PSNR 24.05
seen = {}
for name, make in (
    ("psnr", lambda: PeakSignalNoiseRatio(data_range=255)), ("mse", MeanSquaredError), ("mae", MeanAbsoluteError),
):
    seen[name] = (make()(dark, bright).item(), make()(dark.float(), bright.float()).item())
    print(f"{name:5} of uint8 {seen[name][0]:8.3f}   of the same as float {seen[name][1]:8.3f}")
if seen["mse"] != (0.0, 256.0):
    sys.exit("CHANGED: the squared error of uint8 pictures 16 apart is no longer 0")
if seen["mae"] != (240.0, 16.0):
    sys.exit("CHANGED: the absolute error of uint8 pictures 16 apart is no longer 240")
if abs(seen["psnr"][0] - seen["psnr"][1]) > 1e-3:
    sys.exit("CHANGED: PSNR is wrong on uint8 too")
print("HOLDS: pictures 16 apart have a squared error of 0 and an absolute error of 240 as uint8")
PY
