"""The videos and images in a folder that globs match, with captions in files of their own, if there are any."""

from __future__ import annotations

from collections.abc import Iterator

from walt.core.errors import ConfigurationError
from walt.ingest.sources.caption_files import CaptionFiles
from walt.ingest.sources.classes import labels_by_name, unknown_class
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.file_list import split_of
from walt.ingest.sources.folders import glob_expression
from walt.ingest.sources.items import Entry, Refusal, Seen
from walt.ingest.sources.kinds import PlainFolder
from walt.ingest.sources.part_files import PartFiles
from walt.ingest.tables.cells import BadValue
from walt.media.kinds import is_media


def entries(source: PlainFolder, dataset: Dataset) -> Iterator[Entry]:
    """List the files that the patterns match and whose names are those of videos or images.

    Refusals: ``bad_caption`` (a caption file cannot be read), ``bad_span``, ``unknown_class``, and those of
    ``Rules.item``.

    Raises:
        ConfigurationError: a pattern leaves the folder; labels without classes.
    """
    seen: Seen[str] = Seen()
    labels = labels_by_name(dataset.classes, source.kind) if "label" in source.folders else {}
    whole = CaptionFiles(dataset.folder, source.captions)
    parts = PartFiles(dataset.folder, source.captions, whole)
    excluded = [glob_expression(pattern) for pattern in source.exclude]
    for pattern in source.patterns:
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise ConfigurationError(f"source.patterns: '{pattern}' leaves the dataset's folder")
        for name in dataset.folder.matching(pattern):
            if is_media(name) and name not in seen and not any(glob.fullmatch(name) for glob in excluded):
                seen.add(name, pattern, 0)
                yield from _entries(source, dataset, name, labels, whole, parts)


def _entries(
    source: PlainFolder, dataset: Dataset, name: str, labels: dict[str, int], whole: CaptionFiles, parts: PartFiles
) -> Iterator[Entry]:
    """The input of a file, or those of its parts where a table of its own has some."""
    said = dict(zip(source.folders, name.split("/")[:-1], strict=False))
    label = labels.get(said["label"]) if "label" in said else None
    if "label" in said and label is None:
        yield Refusal(name, "unknown_class", unknown_class(said["label"], labels))
        return
    split = split_of(said["split"]) if "split" in said else None
    found = parts.parts(name)
    for span, of_part in found:
        if isinstance(of_part, Refusal):
            yield of_part
        else:
            yield dataset.rules.item(
                name, dataset.folder.location(name), of_part, label=label, split=split, span=span,
                group=said.get("group"),
            )  # fmt: skip
    if found:
        return
    captions = whole.captions(name)
    if isinstance(captions, BadValue):
        yield Refusal(name, "bad_caption", captions.cause)
        return
    yield dataset.rules.item(
        name, dataset.folder.location(name), captions, label=label, split=split, group=said.get("group")
    )
