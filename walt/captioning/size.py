"""How large a vision-language model is, without its weights: for counting what it costs. Nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from walt.captioning.config import CaptionConfig
from walt.captioning.processors import load_processor
from walt.captioning.vision_language import asked


@dataclass(frozen=True)
class CaptionerSize:
    """Counts of numbers, not bytes."""

    weights: int
    tokens: int
    """Of a clip's question, the frames' among them."""
    given: int
    """Of a clip's frames, as the model takes them."""
    remembered: int
    """For each token, until the answer is there: keys and values of all layers."""
    computed: int
    """For each token, in one layer, at once: its input and output, query, key and value, the MLP's hidden values."""


def captioner_size(config: CaptionConfig, root: Path, frame: tuple[int, int]) -> CaptionerSize | None:
    """The size of the model that ``config`` names, asked about a clip of ``config.frames`` frames of (height, width);
    None where its configuration or processor is not on this machine. Of a hub name the local cache is read alone."""
    folder = root / config.model
    source = str(folder) if folder.is_dir() else config.model
    try:
        architecture: Any = AutoConfig.from_pretrained(source, local_files_only=True)
        processor = load_processor(source, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError):
        return None
    with torch.device("meta"):
        models: Any = AutoModelForImageTextToText
        model = models.from_config(architecture)
    text = architecture.get_text_config()
    heads = text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    keys = getattr(text, "num_key_value_heads", None) or heads
    inputs = asked(processor, config, [np.zeros((config.frames, *frame, 3), np.uint8)])
    tokens = inputs.pop("input_ids").shape[1]
    return CaptionerSize(
        weights=sum(parameter.numel() for parameter in model.parameters()),
        tokens=tokens,
        given=sum(tensor.numel() for tensor in inputs.values() if torch.is_floating_point(tensor)),
        remembered=text.num_hidden_layers * 2 * keys * width,
        computed=2 * text.hidden_size + (heads + 2 * keys) * width + 2 * text.intermediate_size,
    )
