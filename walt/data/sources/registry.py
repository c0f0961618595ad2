"""Which adapter reads which kind of source (the descriptor's key ``source``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from walt.data.config import Descriptor
from walt.data.sources import captioned_folder
from walt.data.sources.items import Listing

Adapter = Callable[[Descriptor, Path, int], Listing]

ADAPTERS: dict[str, Adapter] = {"captioned_folder": captioned_folder.list_items}
"""Each lists (descriptor, folder, longest caption) and raises ConfigurationError for a table it cannot read."""


def list_items(descriptor: Descriptor, folder: Path, max_caption_characters: int) -> Listing:
    """List a dataset's inputs with the adapter of its source."""
    return ADAPTERS[descriptor.source](descriptor, folder, max_caption_characters)
