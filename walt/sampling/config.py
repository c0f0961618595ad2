"""Section ``sample``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from walt.core.config import Section


class SampleConfig(Section):
    """The ``sample`` section."""

    prompts: tuple[str, ...] | Literal["held_out", "adherence"]
    """A list; or the captions of held-out clips; or the prompts that the dataset's adherence check covers."""
    count: PositiveInt
    """Videos made when ``prompts`` is no list."""
    steps: PositiveInt
    """DDIM steps."""
    eta: float = Field(ge=0.0, le=1.0)
    """0: deterministic DDIM; 1: ancestral."""
    guidance_scale: PositiveFloat
    """1 is the conditional model itself."""
    super_resolution_guidance_scale: PositiveFloat
    cascade: bool
    """Whether the super-resolution model follows."""
    batch_size: PositiveInt
    fps: PositiveFloat
