"""What writing captions holds in memory: calculated, since each vision-language model has code of its own."""

from __future__ import annotations

from pathlib import Path

from walt.captioning.config import CaptionConfig
from walt.commands.describe.planned_steps import Peaks
from walt.core.sizes import Size
from walt.nn.planned_memory import KINDS


def caption_peaks(config: CaptionConfig, root: Path, size: Size) -> Peaks:
    """Of one batch of clips of this size, when all questions have been read and the longest answers are written.

    Nothing where the model is not on this machine.
    """
    from walt.captioning.size import captioner_size  # here: transformers' vision models take seconds to import

    found = captioner_size(config, root, size)
    if found is None:
        return {}
    count, number = 1 if config.temperature > 0 else config.batch_size, 2 if config.precision == "bf16" else 4
    remembered = (found.tokens + config.max_tokens) * found.remembered
    return {
        "captions": {
            **dict.fromkeys(KINDS, 0),
            "weights": number * found.weights,
            "batch": number * count * found.given,
            "activations": number * count * (remembered + found.tokens * found.computed),
        }
    }
