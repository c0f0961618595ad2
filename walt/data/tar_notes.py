"""What each tar of a directory was made from, noted in a folder of the stage that makes them.

A tar whose noted identity is still right is not made again. For one that must be, since some of its items are new or
gone, the samples of the others are taken over: a sample is a function of its item and the encoder alone, whatever was
computed beside it, so the tar has the bytes that it would have were all of them computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from walt.core.errors import CorruptArtifactError
from walt.core.log import warning
from walt.core.storage import read_json, write_json
from walt.data.shards import Sample, ShardRecord, iterate_shard, verify_shard
from walt.data.tar_tree import Leaves

_SUFFIX = ".json"


class EarlierSamples:
    """Samples of earlier tars of a directory by their keys. Tars that were changed or removed since hold none.

    Args:
        tars: the record of each, and for the key of each sample a digest of the item that it was made from.
    """

    def __init__(self, directory: Path, tars: Iterable[tuple[ShardRecord, Mapping[str, str]]]) -> None:
        self._directory = directory
        self._tars = [(record, items) for record, items in tars if _problem(directory, record) is None]
        self._items = {key: item for _, items in self._tars for key, item in items.items()}

    def has(self, key: str, item: str) -> bool:
        """Whether the sample under this key was made from the item with this digest."""
        return self._items.get(key) == item

    def read(self, keys: Collection[str]) -> dict[str, Sample]:
        """The samples under these keys, all of which are there. Raises CorruptArtifactError: a tar was damaged."""
        wanted, found = set(keys), dict[str, Sample]()
        for record, items in self._tars:
            if wanted & items.keys():
                found |= {key: sample for key, sample in iterate_shard(self._directory, record) if key in wanted}
        if missing := wanted - found.keys():
            raise CorruptArtifactError(f"{self._directory}: no sample for key '{min(missing)}'")
        return found


class TarNotes:
    """The notes about the tars of a directory.

    Args:
        directory: of the tars.
        folder: of the notes.
        place: of the tar with a name in the tree (``walt.data.tar_tree``); None for one that is in none.
    """

    def __init__(self, directory: Path, folder: Path, place: Callable[[str], int | None]) -> None:
        self.directory, self.folder, self._place = directory, folder, place

    def finished(self, name: str, identity: str) -> dict[str, Any] | None:
        """The note about a tar that was made from what ``identity`` says and has not changed since, else None."""
        file = self._file(name)
        if not file.is_file():
            return None
        note: dict[str, Any] = read_json(file)
        if note["identity"] != identity:
            return None
        if problem := _problem(self.directory, ShardRecord(**note["record"])):
            warning(f"made again: {problem}")
            return None
        return note

    def earlier(self, name: str, encoder: str | None) -> EarlierSamples:
        """The samples that an encoder made for the tars which may have held the same items as the one of this name.

        Args:
            encoder: as in ``write``; None: there are no such samples.
        """
        place = self._place(name)
        related = [] if encoder is None or place is None else [self._names[one] for one in self._leaves.related(place)]
        notes = [read_json(file) for one in related if (file := self._file(one)).is_file()]
        same = [note for note in notes if note.get("encoder") == encoder]
        return EarlierSamples(self.directory, [(ShardRecord(**note["record"]), note["items"]) for note in same])

    def write(
        self, record: ShardRecord, identity: str, encoder: str, items: Mapping[str, str], facts: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Note what a tar was made from.

        Args:
            encoder: digest of what all its samples were made with.
            items: for the key of each sample, a digest of what it was made from.
            facts: what else ``finished`` is to give.
        """
        note = {**facts, "identity": identity, "record": asdict(record), "encoder": encoder, "items": dict(items)}
        write_json(self._file(record.shard), note)
        return note

    def keep_only(self, names: Collection[str]) -> None:
        """Remove the notes about other tars."""
        for note in self.folder.glob(f"*{_SUFFIX}"):
            if note.name.removesuffix(_SUFFIX) not in names:
                note.unlink()

    @cached_property
    def _names(self) -> dict[int, str]:
        """Of the tars that earlier runs noted, by their place."""
        names = (note.name.removesuffix(_SUFFIX) for note in self.folder.glob(f"*{_SUFFIX}"))
        return {place: name for name in names if (place := self._place(name)) is not None}

    @cached_property
    def _leaves(self) -> Leaves:
        return Leaves(self._names)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}{_SUFFIX}"


def _problem(directory: Path, record: ShardRecord) -> CorruptArtifactError | None:
    try:
        verify_shard(directory, record)
    except CorruptArtifactError as error:
        return error
    return None
