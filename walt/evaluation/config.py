"""Section ``evaluate``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from walt.core.config import Section

NetworkName = Literal["random_network", "motion", "i3d", "c3d", "inception", "videomae", "clip"]
"""Networks that see clips, and what else turns them into features: ``walt.evaluation.named_networks``."""
WITHOUT_FILES: tuple[NetworkName, ...] = ("random_network", "motion")
"""Those that need no file."""


class NetworkFile(Section):
    """A learned network that is on this machine."""

    path: str
    """A TorchScript file; for ``videomae`` and ``clip`` a folder as transformers saves it."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Of the file; of a folder, of its ``model.safetensors``."""


class EvaluateConfig(Section):
    """The ``evaluate`` section."""

    removed_keys: ClassVar[dict[str, str]] = {
        "i3d_path": "evaluate.networks has it, as {i3d: {path: FILE, sha256: HASH}}",
        "i3d_sha256": "evaluate.networks has it, as {i3d: {path: FILE, sha256: HASH}}",
    }

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
    protocol: str
    """Name of a file of ``walt/evaluation/protocols``: what the samples are evaluated by."""
    features: NetworkName | None
    """In place of the protocol's networks, for which no file is at hand; null: the protocol's. Each number then says
    so."""
    real_clips: int | None = Field(ge=2)
    """In place of the protocol's number of clips that the samples are compared with; null: the protocol's. Each number
    then says so."""
    statistics: dict[NetworkName, NetworkFile]
    """Mean ``mu`` and covariance ``sigma`` of the real side's features by a network, an .npz file, where the protocol
    asks for such: published FIDs are taken to the same file."""
    networks: dict[NetworkName, NetworkFile]
    """Those that the protocol, or ``features``, asks for; ``random_network`` and ``motion`` need no file."""
