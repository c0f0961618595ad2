"""What a manifest's clips are, found in one pass before anything is written: counts, and columns without gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.sizes import Size, size_folder
from walt.data.clip_table import stored_in
from walt.data.manifest import ManifestRow, iterate_manifest
from walt.data.shards import INDEX_NAME, ShardIndex, read_index

SPLIT_NAMES = {"train": "train", "held_out": "validation"}
"""Our splits by the names that other tools look for."""


@dataclass(frozen=True, order=True)
class Group:
    """Clips of one kind and one split: they share a folder, and no file holds clips of two groups."""

    kind: str
    """``video`` or ``image``."""
    split: str
    """``train`` or ``held_out``."""

    @property
    def folder(self) -> str:
        """The split's name for others."""
        return SPLIT_NAMES[self.split]

    @property
    def extension(self) -> str:
        """Of the picture files."""
        return "png" if self.kind == "image" else "mp4"


GROUPS = tuple(Group(kind, split) for kind in ("video", "image") for split in SPLIT_NAMES)


@dataclass
class Counts:
    """Of one group."""

    clips: int = 0
    captioned: int = 0
    labelled: int = 0
    frames: int = 0
    seconds: float = 0.0


@dataclass
class Survey:
    """What will be exported."""

    groups: dict[Group, Counts] = field(default_factory=dict)
    """Those that have clips."""
    measures: dict[str, list[str]] = field(default_factory=dict)
    """For each kind, the measures that every clip of it has, in the manifest's order."""
    fields: dict[str, list[str]] = field(default_factory=dict)
    """For each kind, the other columns that may be empty and are not for any of its clips."""
    left_out: int = 0
    """Clips that are not stored in the size that was asked for."""

    @property
    def clips(self) -> int:
        """All of them."""
        return sum(counts.clips for counts in self.groups.values())

    def of_kind(self, kind: str) -> dict[Group, Counts]:
        """The groups of one kind."""
        return {group: counts for group, counts in self.groups.items() if group.kind == kind}

    def captioned(self, kind: str) -> bool:
        """Whether any clip of a kind has a caption."""
        return any(counts.captioned for counts in self.of_kind(kind).values())

    def labelled(self, kind: str) -> bool:
        """Whether all clips of a kind have a label."""
        return all(counts.labelled == counts.clips for counts in self.of_kind(kind).values())


OPTIONAL = ("source_height", "source_width", "source_fps", "source_seconds")
"""Columns of the manifest that may be empty, without caption and label."""


class Sizes:
    """The sizes of ``data/clips``, and in which of them a clip is exported.

    Attributes:
        indexes: index of the tars by folder name, the largest size first.

    Args:
        wanted: one size; None: for each clip the largest one that it is stored in.

    Raises:
        ConfigurationError: there are no clips of that size. CorruptArtifactError: an index is damaged.
    """

    def __init__(self, clips: Path, wanted: Size | None) -> None:
        self.clips, self.wanted = clips, wanted
        found = sorted(list_sizes(clips), key=lambda size: (size[0] * size[1], size), reverse=True)
        if wanted is not None and wanted not in found:
            there = ", ".join(map(size_folder, found)) or "none"
            raise ConfigurationError(
                f"--size {size_folder(wanted)}: {clips} has no such folder of clips (it has {there})"
            )
        self.sizes = (wanted,) if wanted is not None else tuple(found)
        self.indexes: dict[str, ShardIndex] = {
            size_folder(size): read_index(clips / size_folder(size)) for size in self.sizes
        }

    def of(self, row: ManifestRow) -> Size | None:
        """The size in which a clip is exported; None: it is not stored in the one that was asked for."""
        return next((size for size in self.sizes if stored_in(row.sizes, size)), None)


def list_sizes(clips: Path) -> list[Size]:
    """The sizes that clips are stored in, the smaller heights first."""
    names = (index.parent.name.split("x") for index in clips.glob(f"*/{INDEX_NAME}"))
    return sorted((int(height), int(width)) for height, width in names)


def survey(manifest: Path, sizes: Sizes) -> Survey:
    """Go through a manifest once. Raises as ``iterate_manifest``."""
    found = Survey()
    for row in iterate_manifest(manifest):
        if sizes.of(row) is None:
            found.left_out += 1
            continue
        if row.kind not in found.measures:
            found.measures[row.kind], found.fields[row.kind] = list(row.measures), list(OPTIONAL)
        measures, fields = found.measures[row.kind], found.fields[row.kind]
        measures[:] = [name for name in measures if not is_empty(row.measures[name])]
        fields[:] = [name for name in fields if not is_empty(getattr(row, name))]
        counts = found.groups.setdefault(Group(row.kind, row.split), Counts())
        counts.clips += 1
        counts.captioned += bool(captions_of(row))
        counts.labelled += row.label is not None
        counts.frames += row.num_frames
        counts.seconds += row.end_seconds - row.start_seconds if row.kind == "video" else 0.0
    found.groups = {group: found.groups[group] for group in GROUPS if group in found.groups}
    return found


def is_empty(value: object) -> bool:
    """Whether a column says nothing: no value, or not a number, which JSON does not have."""
    return value is None or value != value


def captions_of(row: ManifestRow) -> list[tuple[str, str]]:
    """Name and text of each caption, the main one first."""
    return [(caption.name, caption.text) for caption in row.captions]


def rows_of(manifest: Path, group: Group, sizes: Sizes) -> Iterator[ManifestRow]:
    """A group's clips in the manifest's order, which is that of the tars."""
    for row in iterate_manifest(manifest):
        if (row.kind, row.split) == (group.kind, group.split) and sizes.of(row) is not None:
            yield row
