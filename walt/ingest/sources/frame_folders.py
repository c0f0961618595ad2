"""Videos that are kept as folders of numbered pictures; the rate is the descriptor's."""

from __future__ import annotations

from collections.abc import Iterator

from walt.core.errors import ConfigurationError
from walt.core.log import warning
from walt.data.captions import Caption
from walt.ingest.sources.classes import labels_by_name, unknown_class
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import LocalFolder, glob_expression
from walt.ingest.sources.items import Entry, Refusal
from walt.ingest.sources.kinds import FrameFolders
from walt.ingest.sources.locations import frames_location
from walt.media.images import SourceError
from walt.media.kinds import is_media, kind_of
from walt.media.numbered import in_order, numbered
from walt.media.stills import SUFFIXES

_LONGEST_TEXT = 1 << 20
_FEWEST_FRAMES = 8


def entries(source: FrameFolders, dataset: Dataset) -> Iterator[Entry]:
    """List the folders that the patterns match and that have pictures directly in them.

    Refusals: ``missing_frame``, ``mixed_frames``, ``repeated_frame``, ``no_frames``, ``unknown_class``,
    ``bad_caption``, and those of ``Rules.item``.

    Raises:
        ConfigurationError: the dataset is not on this machine; a pattern leaves its folder; there is nothing that one
            matches; labels without classes.
    """
    if not isinstance(dataset.folder, LocalFolder):
        raise ConfigurationError(f"{dataset.folder.location('')}: folders of frames must be on this machine")
    for pattern in source.folders:
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise ConfigurationError(f"source.folders: '{pattern}' leaves the dataset's folder")
    labels = labels_by_name(dataset.classes, source.kind) if source.labels_from_folders else None
    wanted = [glob_expression(pattern.rstrip("/") if pattern != "." else "") for pattern in source.folders]
    found = others = 0
    for folder, names in folders_of(dataset.folder.names()):
        pictures = [name for name in names if is_media(name) and name.lower().endswith(tuple(SUFFIXES))]
        others += sum(map(is_media, names)) - len(pictures)
        if pictures and any(expression.fullmatch(folder) for expression in wanted):
            found += 1
            yield _entry(source, dataset, labels, folder, pictures)
        else:
            others += len(pictures)
    if not found:
        said = ", ".join(source.folders)
        raise ConfigurationError(
            f"{dataset.folder.location('')}: no folder with pictures matches {said} (source.folders)"
        )
    if others:
        warning(f"{dataset.folder.location('')}: {others} videos and pictures are in no folder of frames, and left out")


def _entry(
    source: FrameFolders, dataset: Dataset, labels: dict[str, int] | None, folder: str, pictures: list[str]
) -> Entry:
    name = folder or "."
    try:
        in_order(pictures)
    except SourceError as error:
        return Refusal(name, error.code, error.cause)
    label = None
    if labels is not None:
        first = folder.partition("/")[0]
        if first not in labels:
            return Refusal(name, "unknown_class", unknown_class(first, labels))
        label = labels[first]
    captions = []
    if source.caption and dataset.folder.has(f"{folder}.{source.caption}"):
        with dataset.folder.open(f"{folder}.{source.caption}") as stream:
            data = stream.read(_LONGEST_TEXT + 1)
        if len(data) > _LONGEST_TEXT:
            return Refusal(name, "bad_caption", f"{folder}.{source.caption} is larger than {_LONGEST_TEXT} bytes")
        captions.append(Caption(source.caption, data.decode("utf-8-sig", "surrogateescape")))
    location = frames_location(dataset.folder.location(folder), source.fps)
    return dataset.rules.item(name, location, captions, label=label, name="frames")


def are_frames(names: list[str]) -> bool:
    """Whether the videos and pictures of a folder are the frames of one video: numbered pictures alone, without a gap,
    and not just a few."""
    if len(names) < _FEWEST_FRAMES or any(kind_of(name) == "video" for name in names):
        return False
    try:
        in_order(names)
    except SourceError:
        return False
    return True


def why_no_frames(names: list[str]) -> str | None:
    """What is wrong with the pictures of a folder that are not frames of one video although most of them are numbered;
    None: they are, or nobody would take them for some."""
    if len(names) < _FEWEST_FRAMES or any(kind_of(name) == "video" for name in names):
        return None
    if 2 * sum(numbered(name) is not None for name in names) <= len(names):
        return None
    try:
        in_order(names)
    except SourceError as error:
        return error.cause
    return None


def folders_of(names: Iterator[str]) -> Iterator[tuple[str, list[str]]]:
    """The names of the files in each folder, from the names of all files folder by folder, as they are walked."""
    open_folders: dict[str, list[str]] = {}
    for path in names:
        folder, _, name = path.rpartition("/")
        for other in [other for other in open_folders if other and not f"{folder}/".startswith(f"{other}/")]:
            yield other, open_folders.pop(other)
        open_folders.setdefault(folder, []).append(name)
    yield from open_folders.items()
