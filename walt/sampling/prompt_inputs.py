"""What a video is to show, as the transformers take it: T5 embeddings of a text, or a class.

B batch, L text tokens, S width of the text encoder's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from walt.core.errors import ConfigurationError
from walt.core.printable import printable
from walt.diffusion.guidance import Branch
from walt.transformer.config import TransformerConfig

if TYPE_CHECKING:  # it loads transformers, which trainings that look at their samples do without
    from walt.text.encoder import TextEncoder

_SHOWN_PIECES, _SHOWN_CHARACTERS = 8, 20  # of what a text encoder does not know
Prompt = str | int | None
"""A text, a class, or nothing: which of them is a model's ``conditioning``. The empty text is what training
puts in place of dropped texts, and None as a class is what stands for dropped classes."""


def describe_prompt(prompt: Prompt) -> str:
    """A prompt for people: the text itself, ``class 3``, or nothing."""
    return f"class {prompt}" if isinstance(prompt, int) else prompt or ""


@dataclass(frozen=True)
class TextCondition:
    """Embeddings of prompts and of the empty caption."""

    embeddings: Tensor
    """(B, L, S)"""
    mask: Tensor
    """(B, L) bool"""
    null_embedding: Tensor
    """(1, L, S)"""
    null_mask: Tensor
    """(1, L) bool"""


@dataclass(frozen=True)
class Conditions:
    """A batch's prompts; both are None for models without conditions."""

    text: TextCondition | None = None
    labels: Tensor | None = None
    """(B,) int64"""

    def inputs(self, config: TransformerConfig, branches: Sequence[Branch]) -> dict[str, Tensor]:
        """Arguments of a model's forward for the branches of guidance, one after the other: (len(branches) B, ...)."""

        def repeated(given: Tensor, null: Tensor) -> Tensor:
            return torch.cat([given if branch.condition else null.expand_as(given) for branch in branches])

        if config.conditioning == "text":
            assert self.text is not None
            return {
                "text": repeated(self.text.embeddings, self.text.null_embedding),
                "text_mask": repeated(self.text.mask, self.text.null_mask),
            }
        if config.conditioning == "class":
            assert self.labels is not None
            assert config.num_classes is not None
            return {"labels": repeated(self.labels, self.labels.new_tensor([config.num_classes]))}
        return {}


def make_conditions(
    prompts: Sequence[Prompt], config: TransformerConfig, encoder: TextEncoder | None, device: str
) -> Conditions:
    """Embed the prompts for models conditioned as ``config`` says.

    Raises:
        ConfigurationError: they are of another kind than the model's, or there is no such class.
    """
    check_prompts(prompts, config)
    if config.conditioning == "text":
        assert encoder is not None
        embeddings, mask = encoder.encode([*(str(prompt) for prompt in prompts), ""])
        return Conditions(text=TextCondition(embeddings[:-1], mask[:-1], embeddings[-1:], mask[-1:]))
    if config.conditioning == "class":
        labels = [config.num_classes if prompt is None else prompt for prompt in prompts]
        return Conditions(labels=torch.tensor(labels, dtype=torch.int64, device=device))
    return Conditions()


def check_prompts(prompts: Sequence[Prompt], config: TransformerConfig) -> None:
    """Raise ConfigurationError where a prompt is not what a model of ``config`` is conditioned on."""
    wanted = {"text": str, "class": int | None, "none": type(None)}[config.conditioning]
    for prompt in prompts:
        if not isinstance(prompt, wanted):
            needs = {"text": "a text", "class": "a class", "none": "no prompt"}[config.conditioning]
            got = "no prompt" if prompt is None else f"'{describe_prompt(prompt)}'"
            raise ConfigurationError(f"base.conditioning is {config.conditioning}: the model takes {needs}, not {got}")
        if isinstance(prompt, int) and not 0 <= prompt < (config.num_classes or 0):
            last = (config.num_classes or 0) - 1
            raise ConfigurationError(f"class {prompt}: the model's classes are 0 to {last} (base.num_classes)")


def notes_on_prompts(prompts: Sequence[Prompt], encoder: TextEncoder | None) -> tuple[str, ...]:
    """Lines for whoever asked: what of the prompts the text encoder does not see, for it is cut off, or its vocabulary
    lacks it. None where all is seen."""
    texts = list(dict.fromkeys(prompt for prompt in prompts if isinstance(prompt, str)))
    if encoder is None:
        return ()
    readings = encoder.readings(texts)
    notes = []
    long = [reading.tokens for reading in readings if reading.tokens > encoder.max_tokens]
    if long:
        notes.append(
            f"{_of_prompts(long, texts, 'is', 'are')} longer than text.max_tokens {encoder.max_tokens}: the rest is "
            f"cut off; {'the longest' if len(texts) > 1 else 'it'} has {max(long)} tokens"
        )
    if unknown := [reading.unknown for reading in readings if reading.unknown]:
        notes.append(
            f"{_of_prompts(unknown, texts, 'holds', 'hold')} what the text encoder's vocabulary lacks, and which it "
            f"does not tell from each other: {_first_few([piece for pieces in unknown for piece in pieces])}"
        )
    return tuple(notes)


def _of_prompts(some: Sequence[object], of: Sequence[object], singular: str, plural: str) -> str:
    if len(of) == 1:
        return f"the prompt {singular}"
    return f"{len(some)} of {len(of)} prompts {singular if len(some) == 1 else plural}"


def _first_few(pieces: Sequence[str]) -> str:
    """Each once, cut where it is long."""
    distinct = list(dict.fromkeys(printable(piece) for piece in pieces))
    cut = [piece if len(piece) <= _SHOWN_CHARACTERS else f"{piece[:_SHOWN_CHARACTERS]}..." for piece in distinct]
    more = f" and {len(cut) - _SHOWN_PIECES} more" if len(cut) > _SHOWN_PIECES else ""
    return " ".join(cut[:_SHOWN_PIECES]) + more
