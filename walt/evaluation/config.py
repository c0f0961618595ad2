"""Section ``evaluate``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from walt.core.config import Section


class EvaluateConfig(Section):
    """The ``evaluate`` section."""

    timestep_bands: PositiveInt
    """The held-out loss is reported for this many equal bands of diffusion steps."""
    held_out_batches: PositiveInt
    batch_size: PositiveInt
    """Clips of which the held-out loss is computed at once."""
    precision: Literal["fp32", "bf16"]
    """Of the transformers' arithmetic for the held-out loss (autocast); the errors are fp32."""
    caption: str | None
    """Name of the caption with which the held-out loss is taken of a clip that has several; null, and where no caption
    of a clip has that name: its first."""
    features: Literal["random_network", "i3d"]
    """Feature extractor of the Frechet distance; it must not change with the models. Only ``i3d`` is called FVD;
    ``random_network`` has fixed random weights and needs no file."""
    i3d_path: str | None
    """A TorchScript file of the I3D network, as used by StyleGAN-V; needed for ``i3d``."""
    i3d_sha256: str | None
    real_clips: int = Field(ge=2)
    """Held-out (then training) clips that the samples are compared with."""
