"""Section ``text``: which T5 encodes the captions."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, PositiveInt

from walt.core.config import Section


class TinyT5Config(Section):
    """Size of the T5 that is built offline, untrained, with a tokenizer made from the captions."""

    width: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    vocabulary: int = Field(ge=8)
    frozen: str | None
    """The tiny encoder that is published as it is: the folder that a stage published, or ``models:/NAME@ALIAS`` or
    ``models:/NAME/VERSION`` in the registry. So a model that goes on from another one sees the tokens that one saw,
    also of new captions. null: built, from the captions that are here."""


class TextConfig(Section):
    """The ``text`` section."""

    removed_keys: ClassVar[dict[str, str]] = {
        "batch_size": "the shape of each call of the encoder follows from the captions' lengths"
    }

    encoder: str
    """``tiny``: built here, offline; else a local folder or a hub name (the paper's is T5-XL)."""
    tiny: TinyT5Config
    max_tokens: PositiveInt
    """Longer captions are cut; shorter ones are padded, with a mask."""
