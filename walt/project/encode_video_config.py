"""Section ``encode_video``."""

from __future__ import annotations

from typing import Literal

from walt.core.config import Section


class EncodeVideoConfig(Section):
    """The ``encode_video`` section."""

    precision: Literal["fp32", "bf16"]
    """Of the encoder's arithmetic; the stored latents are float16 in both cases."""
    normalize_latents: bool
    """By the training set's mean and standard deviation of each channel. False is an ablation of the paper (Table 3):
    the transformers see latents as the encoder makes them."""
