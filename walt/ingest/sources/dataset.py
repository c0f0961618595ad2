"""What every adapter reads from."""

from __future__ import annotations

from dataclasses import dataclass

from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Rules


@dataclass(frozen=True)
class Dataset:
    """A dataset's folder, and what the descriptor says about all of its items."""

    folder: Folder
    rules: Rules
    classes: tuple[str, ...] | None
    """Names by label; None: the dataset has no classes."""
