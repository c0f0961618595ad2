#!/usr/bin/env bash
# Visual information fidelity of torchmetrics takes pictures of 0 to 1 for nearly perfect ones, whatever was done to them.
#
# Guess:  VisualInformationFidelity of two pictures does not depend on whether they are stored as 0 to 1 or 0 to 255, or the range is
#         an argument, or other ranges are refused; so SSIM, UQI, ERGAS and the spectral angle of the same package.
# Truth:  the noise of the eye is a fixed variance of 2, which is meant for 0 to 255 (sigma_n_sq), and nothing in the
#         documentation says so: where 0 to 255 has 0.4, 0 to 1 has 0.99. With sigma_n_sq = 2 / 255^2 both are equal.
# Seen:   torchmetrics 1.9.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import torch
import torchmetrics
from torchmetrics.functional.image import structural_similarity_index_measure, universal_image_quality_index
from torchmetrics.image import VisualInformationFidelity

print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__)
warnings.simplefilter("error")
drawn = torch.Generator().manual_seed(0)
clean = torch.nn.functional.avg_pool2d(torch.rand(2, 3, 68, 68, generator=drawn), 5, 1)
clean = (clean - clean.min()) / (clean.max() - clean.min())
worse = {
    "a little noise": (clean + 0.05 * torch.randn(clean.shape, generator=drawn)).clamp(0, 1),
    "much noise": (clean + 0.2 * torch.randn(clean.shape, generator=drawn)).clamp(0, 1),
}
ranges = {"0 to 1": (1, 0), "-1 to 1": (2, -1), "0 to 255": (255, 0)}
vif, adapted, seen, alike = VisualInformationFidelity(), VisualInformationFidelity(sigma_n_sq=2 / 255**2), {}, []
for name, picture in worse.items():
    seen[name] = {told: float(vif(picture * scale + shift, clean * scale + shift)) for told, (scale, shift) in ranges.items()}
    by_hand = float(adapted(picture, clean))
    others = [[float(measure(picture * scale, clean * scale)) for scale in (1, 255)] for measure in (structural_similarity_index_measure, universal_image_quality_index)]
    alike.append(abs(by_hand - seen[name]["0 to 255"]) < 1e-3 and all(abs(one - other) < 1e-3 for one, other in others))
    print(f"{name}: VIF", {told: round(value, 4) for told, value in seen[name].items()}, f"0 to 1 with sigma_n_sq=2/255^2 {by_hand:.4f}; SSIM and UQI of 0 to 1 and 0 to 255 {others}")
if not all(alike):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(found["0 to 1"] < found["0 to 255"] + 0.3 for found in seen.values()):
    sys.exit("CHANGED: the range of the pictures makes no difference")
print(f"HOLDS: one pair of pictures has {seen['much noise']['0 to 1']:.2f} and {seen['much noise']['0 to 255']:.2f}")
PY
