"""WebVid's lists, read by column name: the files of its download script, or the URLs themselves."""

from __future__ import annotations

from collections.abc import Iterator

from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry
from walt.ingest.sources.kinds import WebVid
from walt.ingest.sources.rows import Found, RowFiles
from walt.ingest.tables.cells import Columns
from walt.ingest.tables.read import find_tables, read_rows

_FILES: Columns = {"videoid": "text", "name": "text", "page_dir": "text"}
_URLS: Columns = {"videoid": "text", "name": "text", "contentUrl": "text"}


def entries(source: WebVid, dataset: Dataset) -> Iterator[Entry]:
    """List the rows of all tables; the caption is the column ``name``.

    Refusals: those of ``RowFiles.find`` and of ``Rules.item``.

    Raises:
        ConfigurationError: a table is missing, cannot be read, or lacks a column.
    """
    files = RowFiles(dataset.folder, source.videos, source.absent)
    by_url = source.files == "content_url"
    for table in find_tables(dataset.folder, source.tables):
        for row in read_rows(dataset.folder, table, _URLS if by_url else _FILES):
            videoid, caption, place = row.texts
            name = place if by_url else f"{place}/{videoid}.mp4" if place else f"{videoid}.mp4"
            found = files.find(row, [name if videoid else ""])
            if isinstance(found, Found):
                yield dataset.rules.item(found.source, found.location, caption, name=f"{videoid}.mp4")
            elif found:
                yield found
    files.report()
