"""The conditions of each clip as the transformers take them: its caption's embedding, its class, or nothing.

N clips, L text tokens, S width of the text encoder's output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from walt.core.errors import ConfigurationError
from walt.data.labels import LABELS_TABLE, read_labels
from walt.data.text_dataset import TextDataset


class Conditions(Protocol):
    """The arguments of a transformer's forward that condition it on clips."""

    def tensors(self, keys: Sequence[str], dropped: Tensor | None = None) -> dict[str, Tensor]:
        """The arguments for N keys; where ``dropped`` (N,) bool is true, the unconditional ones."""


class TextConditions:
    """``text`` (N, L, S) float32 and ``text_mask`` (N, L) bool. Raises as ``TextDataset`` does."""

    def __init__(self, text: TextDataset) -> None:
        self.text = text

    def tensors(self, keys: Sequence[str], dropped: Tensor | None = None) -> dict[str, Tensor]:
        """See ``Conditions``: unconditional is the empty caption."""
        text, mask = self.text.embeddings(keys)
        if dropped is not None:
            text[dropped], mask[dropped] = self.text.null()
        return {"text": text, "text_mask": mask}


class ClassConditions:
    """``labels`` (N,) int64.

    Raises:
        ConfigurationError: no clip has a class, or one is not among 0 .. ``num_classes`` - 1.
    """

    def __init__(self, labels: Mapping[str, int], num_classes: int, table: Path) -> None:
        if not labels:
            raise ConfigurationError(f"{table}: no clip has a class, but the model is class-conditional")
        if max(labels.values()) >= num_classes:
            raise ConfigurationError(f"{table}: a clip has class {max(labels.values())}, but num_classes {num_classes}")
        self.labels, self.num_classes = labels, num_classes

    def tensors(self, keys: Sequence[str], dropped: Tensor | None = None) -> dict[str, Tensor]:
        """See ``Conditions``: unconditional, which includes clips without a class, is class ``num_classes``."""
        labels = torch.tensor([self.labels.get(key, self.num_classes) for key in keys], dtype=torch.int64)
        return {"labels": labels if dropped is None else labels.masked_fill(dropped, self.num_classes)}


class NoConditions:
    """Every clip is unconditional."""

    def tensors(self, keys: Sequence[str], dropped: Tensor | None = None) -> dict[str, Tensor]:
        """See ``Conditions``."""
        return {}


def open_conditions(
    directory: Path, conditioning: Literal["text", "class", "none"], num_classes: int | None
) -> Conditions:
    """The conditions of the clips in ``data/text`` for a model of that conditioning. Raises as the classes above."""
    if conditioning == "text":
        return TextConditions(TextDataset(directory))
    if conditioning == "class":
        assert num_classes is not None
        return ClassConditions(read_labels(directory), num_classes, directory / LABELS_TABLE)
    return NoConditions()
