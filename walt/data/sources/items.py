"""What every adapter lists: items to ingest, and inputs that are refused before their bytes are looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from walt.core import images

Kind = Literal["video", "image"]


@dataclass(frozen=True)
class Item:
    """One input file that may become clips."""

    source: str
    """Path as the dataset gives it; bytes that are no UTF-8 are surrogates."""
    path: Path
    kind: Kind
    caption: str | None
    caption_truncated: bool
    label: int | None


@dataclass(frozen=True)
class Refusal:
    """One input that is not looked at further."""

    source: str
    code: str
    cause: str


@dataclass
class Listing:
    """All inputs of a dataset, each exactly once: as an item, or as a refusal."""

    items: list[Item] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def kind_of(path: str) -> Kind:
    """By the name's suffix. What is no image must open as a video, whatever it is called."""
    return "image" if Path(path).suffix.lower() in images.SUFFIXES else "video"
