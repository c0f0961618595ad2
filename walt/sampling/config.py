"""Section ``sample``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from walt.core.config import Section


class SampleConfig(Section):
    """The ``sample`` section."""

    prompts: tuple[str, ...] | Literal["held_out", "adherence", "classes", "training_classes", "none"]
    """For models of text a list, the captions of held-out clips, or the prompts that the dataset's adherence check
    covers; for models of classes ``classes``, each in turn, ``training_classes``, each as often as in the training
    clips, or those of held-out clips; ``none`` gives no condition, the only choice for models without conditions."""
    caption: str | None
    """Name of the caption that ``held_out`` takes of a clip that has several; null, and where no caption of a clip has
    that name: its first."""
    count: PositiveInt
    """Videos made when ``prompts`` is not a list."""
    repeats: PositiveInt
    """Sets of these videos, whose noise is a function of (``seed``, number of the set, video): an evaluation gives the
    mean of the sets and the deviation over them."""
    steps: PositiveInt
    """DDIM steps."""
    eta: float = Field(ge=0.0, le=1.0)
    """0: deterministic DDIM; 1: ancestral."""
    guidance_scale: PositiveFloat
    """Of the base model's text or class; 1 is the conditional model itself."""
    frame_guidance_scale: PositiveFloat
    """Of the known frames, where a video is continued; the same as ``guidance_scale`` is guidance by both as one
    condition, the paper's (section 3.3), and costs one evaluation fewer than any other value except 1."""
    super_resolution_guidance_scale: PositiveFloat
    """Of all conditions of the super-resolution model except the low resolution."""
    guidance_schedule: Literal["constant", "power_cosine"]
    """Of all scales over the steps: the same at each; or 1 at pure noise and growing while the noise falls, to the
    scale at the last steps, as for the paper's Table 7 (appendix B.1; ``walt.diffusion.guidance.power_cosine``)."""
    guidance_power: PositiveFloat
    """Of the power-cosine schedule: the larger, the later guidance sets in; 4 in MDT, the paper's is not given."""
    guidance_rescale: float = Field(ge=0.0, le=1.0)
    """0: none; 1: guided outputs get the standard deviation of the conditional ones (arXiv 2305.08891, section 3.4)."""
    cascade: bool
    """Whether the super-resolution models follow."""
    beginning: Literal["none", "image", "video"]
    """Whether the first frames of held-out clips are given, of clips that ``seed`` draws: the first one, or the first 5
    (1 + f_t; the paper's frame prediction on Kinetics-600). For models of ``frame_prediction``."""
    batch_size: PositiveInt
    precision: Literal["fp32", "bf16"]
    """Of the transformers' and the decoder's arithmetic (autocast), what modulates excepted; between two evaluations of
    a model the latents are fp32. What bf16 costs: docs/results/transformer.md."""
    fps: PositiveFloat
