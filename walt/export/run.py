"""Write the clips of ``data/`` to a folder in one of the layouts, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError
from walt.core.log import ProgressBar
from walt.core.paths import Paths
from walt.core.sizes import Size, size_folder
from walt.core.storage import sha256_file, write_bytes, write_json
from walt.data.manifest import ManifestRow
from walt.data.partitions import PARTS_INDEX, read_parts
from walt.export.card import card
from walt.export.croissant import croissant
from walt.export.facts import Facts
from walt.export.layouts import LAYOUTS, Layout
from walt.export.samples import Description, describe, write_lines
from walt.export.stored_pictures import StoredPictures, check_playable, encoder_versions
from walt.export.survey import Group, Sizes, Survey, rows_of, survey
from walt.export.target import FileRecord, Target

CLIPS_PER_FILE = 1000
"""Clips of a batch: those of one tar, or of one note of what is finished."""
_FORM = 1
"""Of the files: another number makes exports that were finished before be made again."""


@dataclass(frozen=True)
class Request:
    """What to export."""

    folder: Path
    layout: str
    """A name in ``LAYOUTS``."""
    size: Size | None = None
    """None: each clip in the largest size that it is stored in."""
    playable: bool = False
    """Whether videos are made again as H.264 4:2:0, which every player shows."""
    clips_per_file: int = CLIPS_PER_FILE


@dataclass(frozen=True)
class Exported:
    """What came of it."""

    clips: int
    left_out: int
    """Clips that are not stored in the size that was asked for."""
    files: int
    """With clips in them."""
    bytes: int


def check(request: Request, paths: Paths) -> Target:
    """The folder to fill. Writes nothing.

    Raises:
        ConfigurationError: it holds files of others, or lies in the project's ``data``.
        StorageError: it cannot be written.
    """
    data = paths.clips.parent.resolve()
    if request.folder.resolve().is_relative_to(data):
        raise ConfigurationError(f"{request.folder}: is inside {data}, which the stages fill; choose another folder")
    target = Target(request.folder, request.layout, LAYOUTS[request.layout].ours, paths.work("export"))
    target.check()
    return target


def export(request: Request, facts: Facts, paths: Paths) -> Exported:
    """Fill the folder; the same clips and settings give the same bytes, whatever was interrupted before.

    Raises:
        ConfigurationError: as ``check``; or there are no clips, or none of that size.
        StorageError: nothing was ingested; the disk is full or read-only: a rerun continues.
        CorruptArtifactError: tars or manifest are not what their indexes say.
        LockedError: another run fills the folder.
    """
    target = check(request, paths)
    read_parts(paths.manifest)
    sizes = Sizes(paths.clips, request.size)
    if request.playable:
        check_playable(sizes)
    found = survey(paths.manifest, sizes)
    if not found.clips:
        raise ConfigurationError(f"{paths.manifest}: there is no clip to export" + _of_size(request.size))
    digest = sha256_file(paths.manifest / PARTS_INDEX)
    with target.filling(_identity(request, facts, sizes, digest)):
        return _Run(request, facts, paths, sizes, found, target).all(digest)


def _of_size(size: Size | None) -> str:
    return f" in {size_folder(size)}" if size else ""


def _identity(request: Request, facts: Facts, sizes: Sizes, digest: str) -> str:
    """Digest of everything that decides the bytes."""
    return sha256_json({
        "form": _FORM,
        "layout": request.layout,
        "clips_per_file": request.clips_per_file,
        "manifest": digest,
        "clips": {folder: index.digest() for folder, index in sizes.indexes.items()},
        "facts": asdict(facts),
        "playable": encoder_versions() if request.playable else None,
    })  # fmt: skip


class _Run:
    """One export, its folder held."""

    def __init__(
        self, request: Request, facts: Facts, paths: Paths, sizes: Sizes, found: Survey, target: Target
    ) -> None:
        self.request, self.facts, self.paths, self.sizes = request, facts, paths, sizes
        self.survey, self.target = found, target
        self.layout: Layout = LAYOUTS[request.layout]

    def all(self, digest: str) -> Exported:
        """Write everything, what tells readers that a part is there after it."""
        scratch = self.target.scratch if self.request.playable else None
        records: dict[Group, list[FileRecord]] = {}
        files, num_bytes = 0, 0
        with (
            closing(StoredPictures(self.sizes, scratch)) as pictures,
            ProgressBar("export", total=self.survey.clips, unit="clips", meters=("MB",)) as bar,
        ):
            for group in self.survey.groups:
                records[group] = []
                for number, rows in self._batches(group):
                    written = self._batch(group, number, rows, pictures)
                    written_bytes = sum(record.bytes for record in written)
                    files, num_bytes = files + len(written), num_bytes + written_bytes
                    if self.layout.many_clips_per_file:
                        records[group] += written
                    bar.advance(len(rows), MB=written_bytes / 1e6)
        self._beside(records, digest)
        return Exported(self.survey.clips, self.survey.left_out, files, num_bytes)

    def _batches(self, group: Group) -> Iterator[tuple[int, list[ManifestRow]]]:
        rows = rows_of(self.paths.manifest, group, self.sizes)
        number = 0
        while batch := list(islice(rows, self.request.clips_per_file)):
            yield number, batch
            number += 1

    def _batch(self, group: Group, number: int, rows: list[ManifestRow], pictures: StoredPictures) -> list[FileRecord]:
        """A batch's files, written unless they are there."""
        unit = f"{group.kind}/{group.split}/{number}"
        known = self.target.known(unit)
        if known is not None:
            return known
        clips = ((row, self._describe(row), pictures.read(row)) for row in rows)
        records = self.layout.write(self.target.folder, group, number, clips, self.survey)
        self.target.note(unit, records)
        return records

    def _describe(self, row: ManifestRow) -> Description:
        size = self.sizes.of(row)
        assert size is not None
        return describe(row, size, self.facts.classes)

    def _lines(self, group: Group) -> Iterator[Description]:
        """What ``metadata.jsonl`` says of a group's clips."""
        for number, rows in self._batches(group):
            for row in rows:
                yield {**self.layout.place(group, number, row.key), "split": group.folder} | self._describe(row)

    def _beside(self, records: dict[Group, list[FileRecord]], digest: str) -> None:
        """Tables, indexes, Croissant and card."""
        folder, groups = self.target.folder, self.survey.groups
        if self.layout.many_clips_per_file:
            lines = (line for group in groups for line in self._lines(group))
            tables = [write_lines(folder, "metadata.jsonl", lines)]
        else:
            tables = [
                write_lines(folder, f"{group.kind}/{group.folder}/metadata.jsonl", self._lines(group))
                for group in groups
            ]
        self.layout.finish(folder, self.survey, records, digest)
        place = next(iter(self.layout.place(next(iter(groups)), 0, "key")))
        patterns = [self.layout.pattern(group) for group in groups]
        write_json(folder / "croissant.json", croissant(self.facts, tables, patterns, place, digest))
        shown = ", ".join(map(size_folder, self.sizes.sizes))
        shown += "" if len(self.sizes.sizes) == 1 else "; each clip in the largest that it is stored in"
        text = card(self.facts, self.survey, self.layout.name, shown, digest, playable=self.request.playable)
        write_bytes(folder / "README.md", text.encode())
