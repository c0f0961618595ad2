"""What MLflow could not take: one folder per run under ``work/tracking``, kept until it can be delivered.

``records.jsonl`` holds one record per line, in the order in which they were made; files and folders named by a record
are beside it (as hard links where the disk allows it: every file of this project is replaced, never changed in place).
The process that writes a spool holds its lock, so a live one is never delivered by another process.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from walt.core import log
from walt.core.errors import LockedError
from walt.core.storage import lock, storage_errors
from walt.tracking.experiments import lasting_root

Record = dict[str, Any]

_RECORDS, _LOCK, _FILES = "records.jsonl", "lock", "files"
REFUSED_SUFFIX = ".refused"
"""Suffix of a spool that the server refuses: kept for a person, not tried again."""


def spool_folder(root: Path) -> Path:
    """The folder of a project's spools."""
    return lasting_root(root) / "work" / "tracking"


class Spool:
    """One run's undelivered records. Open it with ``create`` or ``pending``; both hold its lock until ``close``."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self.folder, self._held = folder, held

    @property
    def name(self) -> str:
        """Unique name; the run that is made from this spool carries it as a tag, so that it is made once."""
        return self.folder.name

    @classmethod
    def create(cls, root: Path) -> Spool:
        """A new, empty spool. Raises StorageError when the disk does not take it."""
        folder = spool_folder(root) / f"{_next_number(root):020d}-{uuid.uuid4().hex}"
        held = ExitStack()
        held.enter_context(lock(folder / _LOCK))
        return cls(folder, held)

    def append(self, record: Record) -> None:
        """Add a record; its ``path``, if it has one, is kept as it is now. Raises StorageError."""
        with storage_errors(self.folder):
            if "path" in record:
                record = {**record, "path": self._keep(Path(record["path"]))}
            with open(self.folder / _RECORDS, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
                stream.flush()
                os.fsync(stream.fileno())

    def records(self) -> list[Record]:
        """All whole records; paths are absolute. A last line cut by a kill is left out."""
        path = self.folder / _RECORDS
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
        records = [json.loads(line) for line in lines[:-1]]
        return [{**r, "path": str(self.folder / r["path"])} if "path" in r else r for r in records]

    def close(self) -> None:
        """Release the lock; the spool stays."""
        self._held.close()

    def remove(self) -> None:
        """Remove the spool, since everything was delivered."""
        self._held.close()
        shutil.rmtree(self.folder)

    def refuse(self) -> Path:
        """Set the spool aside under a name that is not tried again; returns its folder."""
        self._held.close()
        aside = self.folder.with_name(self.folder.name + REFUSED_SUFFIX)
        self.folder.replace(aside)
        return aside

    def _keep(self, source: Path) -> str:
        target = self.folder / _FILES / uuid.uuid4().hex / source.name
        target.parent.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=_link_or_copy)
        else:
            _link_or_copy(str(source), str(target))
        return str(target.relative_to(self.folder))


def _next_number(root: Path) -> int:
    """By which spools are delivered in the order of making, also where the clock was set back meanwhile."""
    numbers = (folder.name.partition("-")[0] for folder in spool_folder(root).glob("*"))
    return max([time.time_ns(), *(int(number) + 1 for number in numbers if number.isdecimal())])


def pending(root: Path) -> Iterator[Spool]:
    """Each spool that no live process is writing, with its lock held."""
    for folder in sorted(spool_folder(root).glob("*")):
        if not folder.is_dir() or folder.name.endswith(REFUSED_SUFFIX):
            continue
        held = ExitStack()
        try:
            held.enter_context(lock(folder / _LOCK))
        except LockedError:
            log.info(f"tracking: {folder.name} is still being written by a running stage")
            continue
        yield Spool(folder, held)


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
    return target
