"""Checkpoints that a run does not take up: moved to a folder beside it, never removed by the start of a run.

``work/<stage>/set-aside/0001/`` holds the checkpoints of one run and ``why.json``; the highest number is the newest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from walt.core.log import warning
from walt.core.storage import storage_errors, sync_directory, write_json

FOLDER = "set-aside"
ACCEPTED = "accepted.json"
"""In ``work/<stage>``: what the user chose to go on with from these checkpoints (``walt.training.continuation``)."""


DAMAGED = "damaged-"
"""Before the name of a checkpoint that was found damaged, and fallen back from (``walt.training.checkpoint``)."""


def checkpoints(work: Path) -> list[Path]:
    """Folders of a run's finished checkpoints, oldest first."""
    return sorted(folder for folder in work.glob("step-*") if folder.name.removeprefix("step-").isdigit())


def damaged_checkpoints(work: Path) -> list[Path]:
    """Folders of those that were found damaged, oldest first."""
    return sorted(work.glob(f"{DAMAGED}step-*"))


def set_all_aside(work: Path, why: str) -> Path | None:
    """Move all checkpoints of the run, damaged ones too, into a new folder under ``work``; None where there is none.

    Moving is renaming: a process that is killed meanwhile leaves each checkpoint whole, in one place or the other.

    Raises:
        StorageError: the folder cannot be written; what was not moved is where it was.
    """
    moved = [*checkpoints(work), *damaged_checkpoints(work)]
    if not moved:
        return None
    folder = work / FOLDER / f"{newest_set_aside(work) + 1:04d}"
    write_json(folder / "why.json", {"why": why, "checkpoints": [path.name for path in moved]})
    with storage_errors(folder):
        (work / ACCEPTED).unlink(missing_ok=True)
        for checkpoint in moved:
            checkpoint.rename(folder / checkpoint.name)
        sync_directory(folder)
        sync_directory(work)
    return folder


def newest_set_aside(work: Path) -> int:
    """The number of the run that was set aside last; 0 where none is there."""
    return max(_numbers(work), default=0)


def remove(folders: Iterable[Path]) -> None:
    """Remove checkpoints. One that cannot be removed stays, with a warning: a training does not end for that, and it is
    tried again after the next checkpoint. So it is on NFS with what another process reads."""
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            warning(f"{folder}: cannot be removed now, and takes up space: {error.strerror}")


def remove_old(work: Path, kept: int | None) -> None:
    """At the end of a run: keep the ``kept`` newest that were set aside, at least one; None keeps all.

    The newest is what this run replaced, which a run never removes.
    """
    remove(old_set_aside(work, kept))


def old_set_aside(work: Path, kept: int | None) -> list[Path]:
    """The folders that ``remove_old`` removes."""
    numbers = _numbers(work)[: -max(kept, 1)] if kept is not None else []
    return [work / FOLDER / f"{number:04d}" for number in numbers]


def _numbers(work: Path) -> list[int]:
    folder = work / FOLDER
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []
