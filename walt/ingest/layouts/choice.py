"""What the user says of a folder, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from walt.ingest.layouts.sidecars import Sidecars
from walt.ingest.layouts.tables import TableColumns
from walt.ingest.layouts.unused import Unused
from walt.ingest.sources.kinds import (
    FileList,
    FrameFolders,
    LeRobot,
    LineFiles,
    ParquetBytes,
    PlainFolder,
    WebDatasetTars,
)

Source = FileList | LineFiles | PlainFolder | WebDatasetTars | ParquetBytes | LeRobot | FrameFolders


@dataclass
class Choice:
    """How a folder is read."""

    source: Source
    captioned: bool
    """Whether captions were found: then each input needs one."""
    classes: tuple[str, ...] | None = None
    """Names of the classes, where labels come from folders or a column."""
    notes: list[str] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    beside: Sidecars | None = None
    """Captions beside the files of a table, which are compared with the table's once its inputs are listed."""

    @property
    def may_lose_captions(self) -> bool:
        """Whether something that is not read may hold captions."""
        return any(unused.may_hold_captions for unused in self.unused)


@dataclass(frozen=True)
class Wish:
    """What the user says; what is not said is found."""

    captions: str | None = None
    """A table, inside or outside of the folder, as ``walt.ingest.sources.kinds.FileList`` names it."""
    columns: TableColumns = field(default_factory=TableColumns)
    use_captions: bool = True
    """False: the files are taken without captions, whatever is beside them."""
    labels_from_folders: bool = False
    whole_folder: bool = False
    """Whether a folder is meant, not some of its files: then it may be a dataset of a special kind."""
