"""Videos and images without captions: the files in a folder that globs match."""

from __future__ import annotations

from collections.abc import Iterator

from walt.core.errors import ConfigurationError
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry, Seen
from walt.ingest.sources.kinds import PlainFolder
from walt.media.kinds import is_media


def entries(source: PlainFolder, dataset: Dataset) -> Iterator[Entry]:
    """List the files that the patterns match and whose names are those of videos or images.

    Refusals: those of ``Rules.item``.

    Raises:
        ConfigurationError: a pattern leaves the folder.
    """
    seen = Seen()
    for pattern in source.patterns:
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise ConfigurationError(f"source.patterns: '{pattern}' leaves the dataset's folder")
        for name in dataset.folder.matching(pattern):
            if is_media(name) and name not in seen:
                seen.add(name, pattern, 0)
                yield dataset.rules.item(name, dataset.folder.location(name), "")
