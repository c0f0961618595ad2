"""Section ``evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, PositiveInt

from walt.core.config import Section


class EvaluateConfig(Section):
    """The ``evaluate`` section."""

    timestep_bands: PositiveInt
    """The held-out loss is reported for this many equal bands of diffusion steps."""
    held_out_batches: PositiveInt
    batch_size: PositiveInt
    features: Literal["thumbnail", "i3d"]
    """Feature extractor of the Frechet distance; it must not change with the models. Only ``i3d`` is called FVD."""
    i3d_path: str | None
    """A TorchScript file of the I3D network, as used by StyleGAN-V; needed for ``i3d``."""
    i3d_sha256: str | None
    real_clips: int = Field(ge=2)
    """Held-out (then training) clips that the samples are compared with."""

    def metric_names(self, models: Sequence[str], cascade: bool) -> list[str]:
        """The metrics that these settings can give, for transformers of those names (``base``, ``sr_2x`` ...);
        ``cascade``: a super-resolution model follows the base model.

        A dataset without held-out videos or without an adherence check gives fewer.
        """
        distance = "frechet_distance/thumbnail" if self.features == "thumbnail" else "fvd"
        videos = ["adherence", "adherence/base"] if cascade else ["adherence"]
        adherence = [f"{prefix}/{what}" for prefix in videos for what in ("colour", "direction", "both")]
        losses = [f"held_out_loss/{model}" for model in models]
        bands = [f"{loss}/band_{number:02d}" for loss in losses for number in range(self.timestep_bands)]
        return [*adherence, distance, *losses, *bands]
