#!/usr/bin/env bash
# Lightning's bf16-true rounds the times in a batch: two clips a second apart get one start.
#
# Guess:  precision="bf16-true" is about the model: the weights are bfloat16, and what is computed with them; the float64 times of a
#         batch, and noise levels in float32, are in training_step as the DataLoader gave them, as under bf16-mixed.
# Truth:  every tensor of floats in the batch is cast before training_step, at any depth: starts of 4000.04, 4001.04 and 4007.04
#         seconds are 4000, 4000 and 4000, a timestep of 997 is 996, in validation, too. No warning. Whole numbers are left alone.
#         Fabric casts already under bf16-mixed, where the weights stay float32: what forward gets is bfloat16, what it returns
#         is float32 again, so that 997 is 996.0 and the time of today is 27 days early.
# Seen:   lightning 2.6.6, torch 2.13.0, CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet lightning==2.6.6 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import logging
import sys
import warnings

import lightning
import torch
from torch.utils.data import DataLoader

print("lightning", lightning.__version__, "torch", torch.__version__)
logging.disable(logging.WARNING - 1)
STARTS, NOW = [4000.04, 4001.04, 4007.04], 1_764_000_000.25


class Model(lightning.LightningModule):
    """Keeps what its steps were given."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.given = {}

    def _take(self, step, batch):
        start = batch["clip"]["start"]
        self.given[step] = start.tolist(), start.dtype, batch["timestep"].tolist(), batch["frames"].tolist()
        return self.layer(batch["pixels"].to(self.layer.weight.dtype)).float().mean()

    def training_step(self, batch, _):
        return self._take("training", batch)

    def validation_step(self, batch, _):
        self._take("validation", batch)

    def forward(self, time):
        return time

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


samples = [
    {"pixels": torch.ones(1), "clip": {"start": torch.tensor(start, dtype=torch.float64)}, "timestep": torch.tensor(997.0), "frames": torch.tensor(1001)}
    for start in STARTS
]


def fit(precision):
    """What the steps were given, and the warnings that speak of types or precision."""
    model = Model()
    trainer = lightning.Trainer(
        max_epochs=1, precision=precision, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        trainer.fit(model, DataLoader(samples, batch_size=3), DataLoader(samples, batch_size=3))
    said = [str(entry.message)[:150] for entry in warned if any(word in str(entry.message).lower() for word in ("bfloat16", "precision", "dtype", "cast"))]
    print(f"{precision:10}", model.given, "said:", said)
    return model.given, said


seen = {precision: fit(precision) for precision in ("32-true", "bf16-mixed", "bf16-true")}
fabric = lightning.Fabric(accelerator="cpu", precision="bf16-mixed")
through = fabric.setup(Model())(torch.tensor([NOW, 997.0], dtype=torch.float64))
print("Fabric bf16-mixed:", [NOW, 997.0], "became", through.tolist(), through.dtype)
exact = (STARTS, torch.float64, [997.0] * 3, [1001] * 3)
for precision in ("32-true", "bf16-mixed"):
    if any(given != exact for given in seen[precision][0].values()):
        sys.exit("CHANGED: what it is compared with does not hold")
given, said = seen["bf16-true"]
if said or any(found != ([4000.0] * 3, torch.bfloat16, [996.0] * 3, [1001] * 3) for found in given.values()):
    sys.exit("CHANGED: the batch is left alone, or the cast is spoken of")
if abs(through[0].item() - NOW) < 86400 or through[1].item() != 996.0:
    sys.exit("CHANGED: Fabric's bf16-mixed leaves what forward gets alone")
print(f"HOLDS: {STARTS} became {given['training'][0]}")
PY
