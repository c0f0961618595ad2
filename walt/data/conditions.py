"""The conditions of each clip as the transformers take them: the embedding of a caption, its class, or nothing.

N clips, L text tokens, S width of the text encoder's output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from walt.core.errors import ConfigurationError
from walt.data.caption_choice import FIRST, CaptionChoice, check_names, shares_of
from walt.data.shards import NULL_KEY
from walt.data.text_dataset import TextDataset
from walt.data.text_tables import LABELS_TABLE, Labels


class StoredConditions(Protocol):
    """The arguments of a transformer's forward that condition it on clips."""

    def tensors(
        self, keys: Sequence[str], dropped: Tensor | None = None, draws: Sequence[float] | None = None
    ) -> dict[str, Tensor]:
        """The arguments for N keys.

        Args:
            dropped: (N,) bool; where it is true, the unconditional ones.
            draws: N numbers, uniform in [0, 1), that choose among a clip's captions; None: the stated caption.
        """


class TextConditions:
    """``text`` (N, L, S) float32 and ``text_mask`` (N, L) bool. Raises as ``TextDataset`` does."""

    def __init__(self, text: TextDataset, choice: CaptionChoice) -> None:
        self.text, self.choice = text, choice

    def tensors(
        self, keys: Sequence[str], dropped: Tensor | None = None, draws: Sequence[float] | None = None
    ) -> dict[str, Tensor]:
        """See ``StoredConditions``: unconditional is the empty caption."""
        if dropped is not None:  # what is dropped is not read
            keys = [NULL_KEY if drop else key for key, drop in zip(keys, dropped.tolist(), strict=True)]
        of_keys: Sequence[float | None] = [None] * len(keys) if draws is None else draws
        of_clips = zip(self.text.names_of(keys), of_keys, strict=True)
        text, mask = self.text.embeddings(keys, [self.choice.place(names, draw) for names, draw in of_clips])
        return {"text": text, "text_mask": mask}

    def check(self, keys: Iterable[str], section: str) -> None:
        """Raise ConfigurationError where the weights name a caption that no clip has, or leave no caption of a clip.

        Args:
            keys: of the clips that are trained on.
            section: the training's, for messages.
        """
        key_of_weights = f"{section}.caption_weights"
        check_names(self.choice.weights, self.text.all_names(), key_of_weights)
        nothing = {names for names in self.text.kinds() if not any(shares_of(names, self.choice.weights))}
        for key in keys if nothing else ():
            if (names := self.text.names(key)) in nothing:
                said = ", ".join(f"'{name}'" for name in dict.fromkeys(names))
                raise ConfigurationError(f"{key_of_weights}: all captions of the clip '{key}' ({said}) have weight 0")


class ClassConditions:
    """``labels`` (N,) int64.

    Raises:
        ConfigurationError: no clip has a class, or one is not among 0 .. ``num_classes`` - 1.
    """

    def __init__(self, labels: Labels, num_classes: int, table: Path) -> None:
        if not len(labels):
            raise ConfigurationError(f"{table}: no clip has a class, but the model is class-conditional")
        if labels.highest() >= num_classes:
            raise ConfigurationError(f"{table}: a clip has class {labels.highest()}, but num_classes {num_classes}")
        self.labels, self.num_classes = labels, num_classes

    def tensors(
        self, keys: Sequence[str], dropped: Tensor | None = None, draws: Sequence[float] | None = None
    ) -> dict[str, Tensor]:
        """See ``StoredConditions``: unconditional, which includes clips without a class, is class ``num_classes``."""
        labels = torch.from_numpy(self.labels.of(keys, self.num_classes))
        return {"labels": labels if dropped is None else labels.masked_fill(dropped, self.num_classes)}


class NoConditions:
    """Every clip is unconditional."""

    def tensors(
        self, keys: Sequence[str], dropped: Tensor | None = None, draws: Sequence[float] | None = None
    ) -> dict[str, Tensor]:
        """See ``StoredConditions``."""
        return {}


def open_conditions(
    directory: Path,
    conditioning: Literal["text", "class", "none"],
    num_classes: int | None,
    choice: CaptionChoice = FIRST,
    pinned: bool = False,
) -> StoredConditions:
    """The conditions of the clips in ``data/text`` for a model of that conditioning. Raises as the classes above.

    Args:
        choice: which of a clip's captions is taken.
        pinned: embeddings are in memory from which a GPU copies without a detour.
    """
    if conditioning == "text":
        return TextConditions(TextDataset(directory, pinned), choice)
    if conditioning == "class":
        assert num_classes is not None
        return ClassConditions(Labels(directory), num_classes, directory / LABELS_TABLE)
    return NoConditions()
