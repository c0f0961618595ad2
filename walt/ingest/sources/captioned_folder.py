"""A folder of videos and images with a table of captions, in any column order.

Inputs are the table's rows, and the media files in the folder that no row names. Hidden files, and files whose names
are neither those of videos nor of images, are not inputs unless a row names them.
"""

from __future__ import annotations

from collections.abc import Iterator

from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry, leaves_folder
from walt.ingest.sources.kinds import CaptionedFolder
from walt.ingest.sources.rows import Found, RowFiles
from walt.ingest.sources.tables import Columns, read_rows
from walt.media.kinds import is_media


def table_outside(source: CaptionedFolder) -> bool:
    """Whether the table is outside the dataset's folder, which is all that DVC watches."""
    return leaves_folder(source.captions)


def entries(source: CaptionedFolder, dataset: Dataset) -> Iterator[Entry]:
    """List the dataset.

    Refusals: those of ``RowFiles.find``, and those of ``Rules.item``.

    Raises:
        ConfigurationError: the table is missing, cannot be read, or lacks a column.
    """
    folder, rules = dataset.folder, dataset.rules
    files = RowFiles(folder)
    columns: Columns = {source.path_column: "text", source.caption_column: "text"}
    for row in read_rows(folder, source.captions, columns):
        path, caption = row.texts
        found = files.find(row, [path])
        if isinstance(found, Found):
            yield rules.item(found.source, found.location, caption, name=found.name)
        elif found:
            yield found
    for name in folder.names():
        if is_media(name) and name not in files.seen:
            yield rules.item(name, folder.location(name), "")
