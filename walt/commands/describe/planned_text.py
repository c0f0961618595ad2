"""What encoding captions holds in memory: T5's own code runs with tensors without values."""

from __future__ import annotations

from pathlib import Path

import torch

from walt.commands.describe.planned_steps import Peaks
from walt.nn.planned_memory import planned
from walt.text.architecture import T5_XL, t5_xl, text_architecture
from walt.text.config import TextConfig
from walt.text.encoder import LARGE_PARAMETERS, TOKENS_AT_ONCE


def text_peaks(config: TextConfig, root: Path) -> Peaks | None:
    """Of one call of the encoder, in the phase ``text``; None where its configuration is not on this machine.

    That of T5-XL is known.
    """
    model = text_architecture(config, root)
    if model is None and config.encoder == T5_XL:
        model = t5_xl()
    if model is None:
        return None
    large = sum(parameter.numel() for parameter in model.parameters()) >= LARGE_PARAMETERS
    model = model.to(torch.bfloat16 if large else torch.float32)
    with planned("cuda") as plan, torch.no_grad():
        plan.place(model)
        rows = max(1, TOKENS_AT_ONCE // config.max_tokens)
        ids = plan.tensor(rows, config.max_tokens, dtype=torch.int64, kind="batch")
        plan.memory.begin()
        model(input_ids=ids)
        return {"text": plan.memory.peaks["forward"]}
