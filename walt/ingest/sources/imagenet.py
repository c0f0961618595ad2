"""ImageNet's folders of pictures, one for each wnid, with labels in the order of the sorted wnids.

The development kit numbers the same thousand classes in another order (``map_clsloc.txt``). A model trained with one
numbering and sampled with the other shows the wrong class, so only the class index is read, and its order is checked.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from walt.core.errors import ConfigurationError
from walt.data.clip_table import Split
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Entry, Refusal
from walt.ingest.sources.kinds import ImageNet
from walt.media.kinds import is_media


def entries(source: ImageNet, dataset: Dataset) -> Iterator[Entry]:
    """List the pictures of all wnids' folders; the caption is the class's name.

    Refusals: ``unknown_class`` (a folder that is not a wnid of the index), and those of ``Rules.item``.

    Raises:
        ConfigurationError: the class index is missing, is not one, or has another order; the classes are not the
            descriptor's; a folder is missing.
    """
    index = read_class_index(dataset.folder, source.class_index)
    if dataset.classes != tuple(name for _, name in index):
        where = dataset.folder.location(source.class_index)
        raise ConfigurationError(f"{where}: its {len(index)} classes are not those of the descriptor's key 'classes'")
    labels = {wnid: (label, name) for label, (wnid, name) in enumerate(index)}
    splits: list[tuple[str, Split | None]] = [(source.train, "train" if source.held_out is not None else None)]
    if source.held_out is not None:
        splits.append((source.held_out, "held_out"))
    for folder, split in splits:
        names = dataset.folder.matching(f"{folder}/**/*")
        if not names:
            raise ConfigurationError(f"{dataset.folder.location(folder)}: no such folder, or it is empty")
        for name in names:
            if is_media(name):
                wnid = name.removeprefix(f"{folder}/").partition("/")[0]
                yield _entry(dataset, name, wnid, labels, split)


def _entry(dataset: Dataset, name: str, wnid: str, labels: dict[str, tuple[int, str]], split: Split | None) -> Entry:
    if wnid not in labels:
        return Refusal(name, "unknown_class", f"the folder {wnid!r} is not a wnid of the class index")
    label, caption = labels[wnid]
    return dataset.rules.item(name, dataset.folder.location(name), caption, label=label, split=split)


def read_class_index(folder: Folder, name: str) -> list[tuple[str, str]]:
    """(wnid, name) by label. The file may list its keys in any order, but wnids must be sorted by key.

    Raises:
        ConfigurationError: the file is missing or not a class index, or its wnids are not in sorted order.
    """
    where = folder.location(name)
    if not folder.has(name):
        raise ConfigurationError(f"{where}: no such file (source.class_index of the descriptor)")
    with folder.open(name) as stream:
        data = stream.read()
    kit = "; the development kit's map_clsloc.txt has another order and cannot be used"
    try:
        found = {int(key): (str(wnid), str(text)) for key, (wnid, text) in json.loads(data).items()}
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(f"{where}: not a JSON mapping of index -> [wnid, name]{kit}") from None
    if sorted(found) != list(range(len(found))):
        raise ConfigurationError(f"{where}: its {len(found)} keys are not 0 to {len(found) - 1}{kit}")
    index = [(found[label][0], found[label][1].replace("_", " ")) for label in range(len(found))]
    for (before, _), (wnid, _) in itertools.pairwise(index):
        if wnid <= before:
            raise ConfigurationError(f"{where}: {wnid} comes after {before}, so the wnids are not sorted{kit}")
    return index
