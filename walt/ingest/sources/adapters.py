"""Chooses the adapter for a kind of source (the descriptor's ``source.kind``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from walt.ingest.config import Descriptor
from walt.ingest.groups import with_groups
from walt.ingest.sources import (
    captioned_folder,
    file_list,
    frame_folders,
    imagenet,
    kinds,
    kinetics,
    lerobot,
    line_files,
    panda70m,
    parquet_bytes,
    plain_folder,
    ucf101,
    union,
    webdataset_tars,
    webvid,
)
from walt.ingest.sources.classes import read_classes
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import open_folder
from walt.ingest.sources.items import Entry, Listing, Rules


def list_items(descriptor: Descriptor, root: Path, path: str, max_caption_characters: int) -> Listing:
    """List a dataset's inputs.

    Args:
        root: of the project.
        path: the dataset's folder, relative to ``root``, or an ``s3://`` prefix.

    Raises:
        ConfigurationError: the folder, a table, a column or the classes are missing or wrong.
        CorruptArtifactError: a tar of the dataset is not whole.
        StorageError: a bucket cannot be listed.
    """
    return Listing.collect(iterate(descriptor, root, path, max_caption_characters))


def iterate(descriptor: Descriptor, root: Path, path: str, max_caption_characters: int) -> Iterator[Entry]:
    """The inputs one by one, in the order of the dataset's own lists; memory hardly depends on the tables' sizes."""
    for name in descriptor.members():
        yield from iterate_member(descriptor, name, root, path, max_caption_characters)


def iterate_member(
    descriptor: Descriptor, name: str, root: Path, path: str, max_caption_characters: int
) -> Iterator[Entry]:
    """The inputs of one member of the dataset, as ``descriptor.members()`` names it."""
    member = descriptor.members()[name]
    classes = None if member.classes is None else read_classes(descriptor, root)
    rules = Rules(member.images, member.caption_required, max_caption_characters, member.held_out)
    key = f"source.members.{name}.path" if name else "dataset.path"
    folder = open_folder(root, union.folder_of(path, member), key)
    found = with_groups(entries(member.source, Dataset(folder, rules, classes)), member.group_pattern)
    return union.entries(name, member, found) if name else found


def entries(source: kinds.OneSource, dataset: Dataset) -> Iterator[Entry]:
    """The items and refusals that a source's adapter yields."""
    match source:
        case kinds.CaptionedFolder():
            return captioned_folder.entries(source, dataset)
        case kinds.PlainFolder():
            return plain_folder.entries(source, dataset)
        case kinds.LineFiles():
            return line_files.entries(source, dataset)
        case kinds.FileList():
            return file_list.entries(source, dataset)
        case kinds.WebVid():
            return webvid.entries(source, dataset)
        case kinds.Panda70M():
            return panda70m.entries(source, dataset)
        case kinds.Ucf101():
            return ucf101.entries(source, dataset)
        case kinds.Kinetics():
            return kinetics.entries(source, dataset)
        case kinds.ImageNet():
            return imagenet.entries(source, dataset)
        case kinds.WebDatasetTars():
            return webdataset_tars.entries(source, dataset)
        case kinds.ParquetBytes():
            return parquet_bytes.entries(source, dataset)
        case kinds.LeRobot():
            return lerobot.entries(source, dataset)
        case kinds.FrameFolders():
            return frame_folders.entries(source, dataset)
