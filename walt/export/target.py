"""The folder that an export fills: only a new one or one of ours, finished file by finished file.

``.walt-export.json`` marks the folder as ours: it is written first, says which clips and settings the files are made
of, and at the end that all of them are there. What is finished is noted in the project's ``work/export``, with size and
SHA-256, so that a run after a kill continues; without those notes it makes the same bytes again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.paths import printable
from walt.core.storage import (
    TEMPORARY_SUFFIX,
    check_folder_writable,
    lock,
    read_json,
    storage_errors,
    verify_file,
    write_json,
)

MARK = ".walt-export.json"
_UNBORN_MARK = re.compile(rf"{re.escape(MARK)}\.\d+{re.escape(TEMPORARY_SUFFIX)}")
"""All that a run leaves behind that was killed before anything else."""
_TEMPORARY = re.compile(rf".+\.\d+{re.escape(TEMPORARY_SUFFIX)}")


@dataclass(frozen=True)
class FileRecord:
    """A finished file."""

    name: str
    """Inside the folder, with ``/``."""
    bytes: int
    sha256: str
    samples: int
    """Clips in it."""


class Target:
    """The folder of one export, held against other runs of this project.

    Attributes:
        folder: where the files go.
        scratch: a file for work in between, which no other export uses.
    """

    def __init__(self, folder: Path, layout: str, ours: re.Pattern[str], work: Path) -> None:
        self.folder, self._layout, self._ours = folder, layout, ours
        self._notes = work / sha256_json(str(folder.resolve()))[:16]
        self.scratch = self._notes.with_suffix(".mp4")

    def check(self) -> None:
        """Before any work. Writes nothing.

        Raises:
            ConfigurationError: the folder holds files that are not of an export in this layout.
            StorageError: it cannot be written.
        """
        check_folder_writable(self.folder)
        if self.folder.is_symlink() and not self.folder.exists():
            raise ConfigurationError(f"{self.folder}: a link to a folder that is not there")
        files = [name for name in _files(self.folder) if not _UNBORN_MARK.fullmatch(name)]
        if not files:
            return
        found = self._mark()
        if found is not None and found.get("layout") != self._layout:
            raise ConfigurationError(
                f"{self.folder}: holds an export as {found.get('layout')}, not as {self._layout}; choose another "
                f"folder, or remove it"
            )
        foreign = [
            name for name in files if name != MARK and not self._ours.fullmatch(name) and not _TEMPORARY.fullmatch(name)
        ]
        if found is None or foreign:
            example = printable((foreign or files)[0])
            raise ConfigurationError(
                f"{self.folder}: holds files that `walt export` did not write there, such as {example}; choose an "
                f"empty folder"
            )

    @contextmanager
    def filling(self, identity: str) -> Iterator[bool]:
        """Hold the folder while it is filled; files of other clips or settings are removed first.

        Yields:
            Whether this export was finished before, by its mark.

        Raises:
            LockedError: another run of this project fills it. StorageError: the disk is full or read-only.
        """
        with lock(self._notes.with_suffix(".lock")), storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            found = self._mark() or {}
            finished = found == self._content(identity, finished=True)
            if not finished:
                if found.get("identity") != identity:
                    if found:
                        write_json(self.folder / MARK, found | {"finished": False})
                    self._empty()
                    shutil.rmtree(self._notes, ignore_errors=True)
                write_json(self.folder / MARK, self._content(identity, finished=False))
            yield finished
            self._remove_temporary()
            write_json(self.folder / MARK, self._content(identity, finished=True))

    def known(self, unit: str) -> list[FileRecord] | None:
        """The files of a unit that were finished before and have not changed since; None: they must be written."""
        path = self._notes / f"{sha256_json(unit)[:16]}.json"
        try:
            records = [FileRecord(**entry) for entry in read_json(path)] if path.is_file() else None
            for record in records or ():
                verify_file(self.folder / record.name, record.bytes, record.sha256)
        except (CorruptArtifactError, ValueError, TypeError):
            return None
        return records

    def note(self, unit: str, records: list[FileRecord]) -> None:
        """Remember that a unit's files are finished."""
        write_json(self._notes / f"{sha256_json(unit)[:16]}.json", [asdict(record) for record in records])

    def _content(self, identity: str, *, finished: bool) -> dict[str, object]:
        return {"made_by": "walt export data", "layout": self._layout, "identity": identity, "finished": finished}

    def _mark(self) -> dict[str, object] | None:
        path = self.folder / MARK
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_bytes())
        except ValueError:
            return None
        return found if isinstance(found, dict) and found.get("made_by") == "walt export data" else None

    def _empty(self) -> None:
        """Remove all files but the mark, and the folders that held them."""
        for name in list(_files(self.folder)):
            if name != MARK:
                (self.folder / name).unlink()
        for folder in sorted((path for path in self.folder.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()

    def _remove_temporary(self) -> None:
        """What killed runs left behind. Nothing else can be there: files of other clips went before the first write."""
        for name in list(_files(self.folder)):
            if _TEMPORARY.fullmatch(name):
                (self.folder / name).unlink()


def _files(folder: Path) -> Iterator[str]:
    """Names of everything in a folder that is not itself a folder, sorted; links are not followed."""
    paths = folder.rglob("*") if folder.is_dir() else ()
    yield from sorted(path.relative_to(folder).as_posix() for path in paths if path.is_symlink() or not path.is_dir())
