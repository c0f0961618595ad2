"""What a dataset's descriptor says that the manifest does not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """Of the dataset as a whole."""

    name: str
    summary: str
    licence: str
    """As the descriptor has it: ``CC0-1.0``, ``not stated``."""
    homepage: str | None
    classes: tuple[str, ...] | None
    """Names by label."""
