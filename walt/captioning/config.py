"""Section ``caption``: which model writes captions of clips, and which clips get them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from walt.core.config import Section

SHAPES = "shapes"
"""``model``: the rule that reads clips of the generated dataset from their pixels; for trying the way out, offline."""


class CaptionConfig(Section):
    """The ``caption`` section; null: no captions are written."""

    model: str
    """A vision-language model as transformers saves one: a local folder or a hub name, with a chat template, such as
    those of the LLaVA, Qwen-VL or SmolVLM families. ``shapes``: a rule for clips of the generated dataset."""
    prompt: str = Field(min_length=1)
    """What the model is asked, after the frames."""
    frames: PositiveInt
    """Of a clip that it is shown: evenly spaced, the first and the last among them; an image is one."""
    max_tokens: PositiveInt
    """Of an answer; a longer one is cut there."""
    temperature: float = Field(ge=0)
    """0: the likeliest answer. Above: drawn, by ``seed`` and the clip's key, one clip at a time."""
    batch_size: PositiveInt
    """Clips that are asked about at once. In another batch a clip's answer may differ in a word, by rounding; a tar's
    batches are the same in every run."""
    precision: Literal["fp32", "bf16"]
    """Of the model's weights and arithmetic."""
    clips: Literal["missing", "all"]
    """Which clips are captioned: those without a caption, or all; then both captions are kept."""
    first: Literal["dataset", "model"]
    """Where a clip has both: whose caption stands first, which is the one that is taken where one is stated."""
    name: str = Field(min_length=1)
    """Of these captions, as columns name others: ``sample.caption`` and ``caption_weights`` refer to it."""
