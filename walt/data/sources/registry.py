"""Which adapter reads which kind of source (the descriptor's key ``source.kind``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from walt.data.config import Descriptor
from walt.data.sources import (
    captioned_folder,
    file_list,
    imagenet,
    kinds,
    kinetics,
    panda70m,
    plain_folder,
    ucf101,
    webdataset_tars,
    webvid,
)
from walt.data.sources.classes import read_classes
from walt.data.sources.dataset import Dataset
from walt.data.sources.folders import open_folder
from walt.data.sources.items import Entry, Listing, Rules


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
    """The same one by one, in the order of the dataset's own lists, in memory that tables' sizes hardly touch."""
    rules = Rules(descriptor.images, descriptor.caption_required, max_caption_characters)
    return entries(descriptor, Dataset(open_folder(root, path), rules, read_classes(descriptor, root)))


def entries(descriptor: Descriptor, dataset: Dataset) -> Iterator[Entry]:
    """What the adapter of the descriptor's source yields."""
    match descriptor.source:
        case kinds.CaptionedFolder() as source:
            return captioned_folder.entries(source, dataset)
        case kinds.PlainFolder() as source:
            return plain_folder.entries(source, dataset)
        case kinds.FileList() as source:
            return file_list.entries(source, dataset)
        case kinds.WebVid() as source:
            return webvid.entries(source, dataset)
        case kinds.Panda70M() as source:
            return panda70m.entries(source, dataset)
        case kinds.Ucf101() as source:
            return ucf101.entries(source, dataset)
        case kinds.Kinetics() as source:
            return kinetics.entries(source, dataset)
        case kinds.ImageNet() as source:
            return imagenet.entries(source, dataset)
        case kinds.WebDatasetTars() as source:
            return webdataset_tars.entries(source, dataset)
