"""Uploaded files: kept by the SHA-256 of their bytes, and read only by a process that can be killed."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from walt.commands.ui.decoding import answer, look_at
from walt.commands.ui.orders import UploadView
from walt.core.compute import ComputeConfig
from walt.core.errors import ConfigurationError
from walt.core.storage import TEMPORARY_SUFFIX, clean_temporary, read_json, write_json
from walt.media.images import Clip, Limits, SourceError
from walt.media.kinds import kind_of
from walt.sampling.given_files import GivenFile, read_file
from walt.workers.execute import map_items

T = TypeVar("T")
_ABOUT, _LONGEST_NAME = "upload.json", 80
_AT_ONCE = 2  # files that are decoded at the same time
_UNSAFE = re.compile(r"[^\w.()+ -]")


@dataclass(frozen=True)
class Decoder:
    """Reads files in a process that is killed when it takes too long or too much memory."""

    compute: ComputeConfig
    timeout_seconds: float
    memory_mb: int
    together: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    def read(self, given: GivenFile) -> list[Clip]:
        """As ``walt.sampling.given_files.read_file``, with the same result. Raises SourceError."""
        return self.run(read_file, given)

    def run(self, function: Callable[[Any], T], item: object) -> T:
        """``function(item)`` there; both can be pickled. Raises SourceError, also for what the process died of."""
        compute = self.compute.model_copy(update={"backend": "process", "workers": 1})
        with self.together:
            outcomes = map_items(
                answer, [(function, item)], compute, timeout_seconds=self.timeout_seconds, memory_mb=self.memory_mb
            )
            (outcome,) = outcomes
        if outcome.failure is not None:
            raise SourceError(outcome.failure.code, outcome.failure.cause)
        assert outcome.value is not None
        kind, value = outcome.value
        if kind == "refused":
            raise SourceError(*value)
        found: T = value
        return found


class NoRoomError(ConfigurationError):
    """The uploads that are needed take all the room that uploads may."""


class Uploads:
    """A folder for each upload, named by the digest of its file and its name."""

    def __init__(
        self, folder: Path, decoder: Decoder, max_pixels: int, max_seconds: float, most_bytes: int,
        needed: Callable[[], set[str]],
    ) -> None:  # fmt: skip
        """Read the folder.

        Args:
            most_bytes: of all uploads together. Where they would be more, the oldest that nothing needs go.
            needed: the uploads that jobs and results name.
        """
        self.folder, self._decoder = folder, decoder
        self._most, self._needed, self._coming, self._lock = most_bytes, needed, 0, threading.Lock()
        self._limits = Limits(min_side=1, max_pixels=max_pixels, max_seconds=max_seconds)
        folder.mkdir(parents=True, exist_ok=True)
        clean_temporary(folder)

    @contextmanager
    def receiving(self, name: str, size: int) -> Iterator[Path]:
        """Where a file is to be written while it comes in; what is left there at the end is removed.

        Args:
            name: what its owner calls it. The video's settings name it, so it is part of what is kept.
            size: bytes that it has at most.

        Raises:
            NoRoomError: with it the uploads would be larger than they may.
        """
        with self._lock:
            self._make_room(name, size)
            self._coming += size
        folder = self.folder / f"{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        try:
            folder.mkdir()
            yield folder / safe_name(name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with self._lock:
                self._coming -= size

    def _make_room(self, name: str, size: int) -> None:
        """Remove uploads that nothing needs until there is room. Raises NoRoomError, and then none is removed."""
        kept = sorted((file.stat().st_mtime_ns, file.parent) for file in self.folder.glob(f"*/{_ABOUT}"))
        sizes = {place: _size(place) for _, place in kept}
        over = sum(sizes.values()) + self._coming + size - self._most
        if over <= 0:
            return
        needed, gone = self._needed(), []
        for _, place in kept:
            if over > 0 and place.name not in needed:
                gone.append(place)
                over -= sizes[place]
        if over > 0:
            raise NoRoomError(
                f"{name}: no room: uploads may take {self._most / 1e6:g} MB together; delete videos that began with one"
            )
        for place in gone:
            _remove(place)

    def remove_unneeded(self, place: str | None) -> None:
        """Remove an upload that no job and no result names any longer."""
        with self._lock:
            if place is not None and place not in self._needed() and (self.folder / place).is_dir():
                _remove(self.folder / place)

    def add(self, file: Path) -> UploadView:
        """Keep a file that was received, if it can be read: it is moved.

        Raises:
            ConfigurationError: it is neither an image nor a video, damaged, or beyond the limits; one line says
                why.
        """
        name = file.name
        try:
            found = self._decoder.run(look_at, (file, kind_of(name), self._limits))
        except SourceError as error:
            raise ConfigurationError(f"{name}: {error.code}: {error.cause}") from None
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        place = f"{digest[:32]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        view = UploadView(id=place, name=name, **found)
        (self.folder / place).mkdir(exist_ok=True)
        file.replace(self.folder / place / name)
        write_json(self.folder / place / _ABOUT, view.model_dump(mode="json"))
        return view

    def get(self, place: str, kind: Literal["image", "video"]) -> Path:
        """The file. Raises ConfigurationError where there is none of this kind."""
        view = self.find(place)
        if view is None:
            raise ConfigurationError(f"upload {place}: not here; upload the file again")
        if view.kind != kind:
            raise ConfigurationError(f"{view.name}: it is not {'an image' if kind == 'image' else 'a video'}")
        return self.folder / place / view.name

    def find(self, place: str) -> UploadView | None:
        """What is known of an upload; none where it is not here."""
        about = self.folder / place / _ABOUT
        return UploadView.model_validate(read_json(about)) if about.is_file() else None


def _size(place: Path) -> int:
    """Bytes of the files in a folder; one that is being put in its place may be gone under its temporary name."""
    found = 0
    for file in place.iterdir():
        with suppress(FileNotFoundError):
            found += file.stat().st_size
    return found


def _remove(place: Path) -> None:
    """A folder, which is gone at once."""
    aside = place.with_name(f"{place.name}{TEMPORARY_SUFFIX}")
    place.replace(aside)
    shutil.rmtree(aside)


def safe_name(name: str) -> str:
    """A file name of at most 80 characters that leads nowhere, with its suffix; ``upload`` where nothing is left."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    cleaned = _UNSAFE.sub("_", last).strip(" .")
    return cleaned[-_LONGEST_NAME:].lstrip(" .") or "upload"
