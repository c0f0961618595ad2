"""The layouts: which files a batch of clips becomes, and what stands beside them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

from walt.core.storage import atomic_write, write_bytes
from walt.data.manifest import ManifestRow
from walt.export import energon, litdata_chunks, tars
from walt.export.samples import Description, members, record_of, without_gaps
from walt.export.survey import Group, Survey
from walt.export.target import FileRecord

Records = Mapping[Group, list[FileRecord]]
"""The files of each group; none where each has one clip only."""
Clips = Iterator[tuple[ManifestRow, Description, bytes]]
"""Clips with what is said of them, and their picture files; one at a time in memory."""

_COMMON = r"README\.md|croissant\.json|metadata\.jsonl"
_SPLIT = r"(video|image)/(train|validation)"


class Layout(ABC):
    """One of the layouts.

    Attributes:
        name: as it is called on the command line.
        ours: names of all files that it may write, and of those that readers put beside them.
        many_clips_per_file: if so, ``metadata.jsonl`` is one file for all clips, else one for each group beside them.
    """

    name: str
    ours: re.Pattern[str]
    many_clips_per_file = True

    @abstractmethod
    def write(self, folder: Path, group: Group, number: int, clips: Clips, survey: Survey) -> list[FileRecord]:
        """Write a batch of clips, each file atomically. Raises StorageError."""

    @abstractmethod
    def place(self, group: Group, number: int, key: str) -> Mapping[str, str]:
        """Where ``metadata.jsonl`` says that a clip is."""

    @abstractmethod
    def pattern(self, group: Group) -> str:
        """Glob of the files with a group's clips."""

    def finish(self, folder: Path, survey: Survey, records: Records, identity: str) -> None:  # noqa: B027
        """Write what readers need beside the clips' files, given those of each group. Raises StorageError."""


class WebDataset(Layout):
    """``video/train-000000.tar`` ...: a sample is ``KEY.mp4`` or ``.png``, ``KEY.txt``, ``KEY.cls``, ``KEY.json``."""

    name = "webdataset"
    ours = re.compile(rf"{_COMMON}|{_SPLIT}-\d{{6}}\.tar")

    def write(self, folder: Path, group: Group, number: int, clips: Clips, survey: Survey) -> list[FileRecord]:
        name = _tar_name(group, number)
        with atomic_write(folder / name) as stream:
            samples = ((row.key, members(row, said, survey, picture)) for row, said, picture in clips)
            count = tars.write(stream, samples)
        return [record_of(folder, name, count)]

    def place(self, group: Group, number: int, key: str) -> Mapping[str, str]:
        return {"tar": _tar_name(group, number)}

    def pattern(self, group: Group) -> str:
        return f"{group.kind}/{group.folder}-*.tar"


class Energon(WebDataset):
    """The same tars with ``.nv-meta`` in the folder of each kind, as ``energon prepare`` makes it."""

    name = "energon"
    ours = re.compile(rf"{_COMMON}|{_SPLIT}-\d{{6}}\.tar(\.idx)?|(video|image)/\.nv-meta/[\w.-]+")

    def finish(self, folder: Path, survey: Survey, records: Records, identity: str) -> None:
        for kind in dict.fromkeys(group.kind for group in records):
            splits = {group: tars for group, tars in records.items() if group.kind == kind}
            energon.prepare(folder / kind, splits, captioned=survey.captioned(kind), identity=identity)


class VideoFolder(Layout):
    """``video/train/KEY.mp4`` and ``video/train/metadata.jsonl``; images likewise under ``image``."""

    name = "videofolder"
    ours = re.compile(rf"{_COMMON}|{_SPLIT}/([0-9A-Za-z_-]+\.(mp4|png)|metadata\.jsonl)")
    many_clips_per_file = False

    def write(self, folder: Path, group: Group, number: int, clips: Clips, survey: Survey) -> list[FileRecord]:
        records = []
        for row, _, picture in clips:
            name = f"{group.kind}/{group.folder}/{row.key}.{group.extension}"
            write_bytes(folder / name, picture)
            records.append(record_of(folder, name, 1))
        return records

    def place(self, group: Group, number: int, key: str) -> Mapping[str, str]:
        return {"file_name": f"{key}.{group.extension}"}

    def pattern(self, group: Group) -> str:
        return f"{group.kind}/{group.folder}/*.{group.extension}"


class LitData(Layout):
    """``video/train/chunk-000000-0.bin`` ... and ``index.json``: samples of ``key``, ``caption``, ``json`` and
    the picture file."""

    name = "litdata"
    ours = re.compile(rf"{_COMMON}|{_SPLIT}/(chunk-\d{{6}}-\d+\.bin|index\.json)")

    def write(self, folder: Path, group: Group, number: int, clips: Clips, survey: Survey) -> list[FileRecord]:
        prefix = f"{group.kind}/{group.folder}/chunk-{number:06d}"
        samples = (
            litdata_chunks.sample(row.key, said["caption"] or "", without_gaps(said, survey), picture)
            for row, said, picture in clips
        )
        records = []
        for part, items in enumerate(litdata_chunks.chunks(samples)):
            write_bytes(folder / f"{prefix}-{part}.bin", litdata_chunks.chunk(items))
            records.append(record_of(folder, f"{prefix}-{part}.bin", len(items)))
        return records

    def place(self, group: Group, number: int, key: str) -> Mapping[str, str]:
        return {"folder": f"{group.kind}/{group.folder}"}

    def pattern(self, group: Group) -> str:
        return f"{group.kind}/{group.folder}/*.bin"

    def finish(self, folder: Path, survey: Survey, records: Records, identity: str) -> None:
        for group, chunks in records.items():
            path = folder / group.kind / group.folder / "index.json"
            write_bytes(path, litdata_chunks.index(chunks, group.extension))


LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (WebDataset(), VideoFolder(), Energon(), LitData())}
"""By name."""


def _tar_name(group: Group, number: int) -> str:
    return f"{group.kind}/{group.folder}-{number:06d}.tar"
