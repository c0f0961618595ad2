"""What computations really hold on processors, next to their plans: a program.

Prints ``{case: {"planned": bytes, "measured": bytes}}``. Each case has a process of its own, forked from the one that
has imported everything. Measured is the growth of its resident size at its largest, which is set back when the case
begins; large freed blocks go back to the system at once. The plan's own code runs, with tensors that have values.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from tests.support.settings import changed, recipe
from walt.commands.describe import planned_autoencoder, planned_training
from walt.commands.describe.planned_steps import Peaks
from walt.diffusion.schedule import Schedule


class _Real:
    """In place of a plan: what it makes has values."""

    memory = SimpleNamespace(begin=lambda: None, peaks={"forward": {}}, phase="forward", prefix="")

    def place(self, module: nn.Module, kind: str = "weights") -> None:
        module.to_empty(device="cpu")
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.data.normal_(std=0.02)

    def tensor(self, *shape: int, dtype: torch.dtype = torch.float32, kind: str = "activations") -> Tensor:
        return torch.ones(shape, dtype=dtype)

    def count(self, tensor: Tensor, kind: str | None = None) -> None:
        pass


@contextmanager
def _real(_device: str) -> Iterator[Any]:
    yield _Real()


def _base(scale: int) -> Peaks:
    architecture = changed(
        recipe("demo").base, width=32 * scale, mlp_width=128 * scale, resolution=(64, 64), latent_grid=(5, 8, 8),
        spatial_window=(1, 8, 8), spatiotemporal_window=(5, 8, 8), layers=4,
    )  # fmt: skip
    training = changed(
        recipe("demo").train_base, precision="fp32", batch_size=8, image_fraction=0.0, optimizer={"name": "adamw"}
    )
    schedule = Schedule.from_config(recipe("demo").diffusion)
    return planned_training.training_peaks(architecture, training, schedule, 16, 1, "cpu")


def _autoencoder(scale: int) -> Peaks:
    forms = [{"resolution": (16 * scale, 16 * scale), "num_frames": 17, "batch_size": 2, "weight": 1}]
    training = changed(
        recipe("tiny").train_autoencoder, precision="fp32", forms=forms, discriminator={"base_channels": 8}
    )
    return planned_autoencoder.autoencoder_training_peaks(_CODER, training, Path(), 1, "cpu")


def _encode(scale: int) -> Peaks:
    return planned_autoencoder.encoding_peak(_CODER, 17, (32 * scale, 32 * scale), 1.2, "fp32", "cpu")


def _decode(scale: int) -> Peaks:
    return planned_autoencoder.decoding_peak(_CODER, 17, (32 * scale, 32 * scale), 0.6, "fp32", "cpu")


_CODER = changed(
    recipe("demo").autoencoder, patch_size=1, base_channels=16, channel_multipliers=(1, 2, 2, 4),
    temporal_downsample=(False, True, True), blocks_per_level=2, groups=4,
)  # fmt: skip
CASES: dict[str, tuple[Callable[[int], Peaks], int]] = {
    "base step": (_base, 8), "autoencoder step": (_autoencoder, 4), "encode": (_encode, 4), "decode": (_decode, 4),
}  # fmt: skip


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(name: str) -> dict[str, int]:
    """Plan a case, and run it."""
    case, scale = CASES[name]
    planned = max(sum(kinds.values()) for kinds in case(scale).values())
    with (
        patch.object(planned_training, "planned", _real),
        patch.object(planned_autoencoder, "planned", _real),
    ):
        case(1)  # libraries load what they need
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        case(scale)
        return {"planned": planned, "measured": _resident("VmHWM") - before}


def main() -> None:
    """Measure every case."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, int]] = {}
    for name in CASES:
        reading, writing = os.pipe()
        if not (child := os.fork()):
            os.write(writing, json.dumps(measure(name)).encode())
            os._exit(0)
        os.close(writing)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, name
        with os.fdopen(reading, "rb") as stream:
            found[name] = json.load(stream)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
