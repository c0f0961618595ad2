"""A caption: a text and the name of its kind. Light, since the processes that decode import it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

UNNAMED = "without a name"
"""What captions without a name are called in figures and messages."""


class Caption(NamedTuple):
    """One of the captions of an input, or of its clips."""

    name: str
    """What kind of caption it is: its column or key (``short_caption``), or ``txt``; captions of one kind share it."""
    text: str


def shown_name(name: str) -> str:
    """A caption's name for people."""
    return name or UNNAMED


def shown(captions: Sequence[Caption]) -> str:
    """All captions of a clip for people: one as it is, several with their names."""
    if len(captions) < 2:
        return captions[0].text if captions else "(no caption)"
    return " / ".join(f"{name}: {text}" if name else text for name, text in captions)
