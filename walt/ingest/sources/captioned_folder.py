"""A folder of videos and images with a table of captions, in any column order.

Inputs are the table's rows, and the media files in the folder that no row names. Hidden files, and files whose names
are neither those of videos nor of images, are not inputs unless a row names them.
"""

from __future__ import annotations

from collections.abc import Iterator

from walt.ingest.sources import file_list
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry
from walt.ingest.sources.kinds import CaptionedFolder, FileList


def entries(source: CaptionedFolder, dataset: Dataset) -> Iterator[Entry]:
    """List the dataset; refusals and errors are those of ``file_list.entries``."""
    listed = FileList(
        kind="list", tables=(source.captions,), path_column=source.path_column,
        caption_columns=(source.caption_column,), unlisted="take", absent="refuse",
    )  # fmt: skip
    return file_list.entries(listed, dataset)
