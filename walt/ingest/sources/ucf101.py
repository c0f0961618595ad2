"""UCF-101 with one of its three splits into training and test clips.

Class 37 is ``HandstandPushups`` in ``classInd.txt``, in the lists and as a folder, but its clips are called
``v_HandStandPushups_...``; copies of the data have either spelling in either place, so both are tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from walt.core.errors import ConfigurationError
from walt.data.clip_table import Split
from walt.ingest.sources.classes import labels_by_name
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Entry
from walt.ingest.sources.kinds import Ucf101
from walt.ingest.sources.rows import Found, RowFiles
from walt.ingest.tables.cells import Row

_SPELLINGS = ("HandstandPushups", "HandStandPushups")


def entries(source: Ucf101, dataset: Dataset) -> Iterator[Entry]:
    """List the clips of both lists: the label is that of ``classInd.txt`` counted from 0, the caption the class's name.

    Refusals: those of ``RowFiles.find`` and of ``Rules.item``.

    Raises:
        ConfigurationError: a list is missing or damaged, or the classes are not the descriptor's.
    """
    labels = _read_classes(dataset, source)
    files = RowFiles(dataset.folder, source.videos, source.absent)
    lists: tuple[tuple[str, Split], ...] = (("trainlist", "train"), ("testlist", "held_out"))
    for name, split in lists:
        table = f"{source.lists}/{name}{source.split:02d}.txt"
        for line, clip, folder in _read_list(dataset.folder, table, labels):
            found = files.find(Row(table, line, ()), _spellings(clip))
            if isinstance(found, Found):
                caption, label = class_caption(folder), labels[folder]
                yield dataset.rules.item(clip, found.location, caption, label=label, split=split)
            elif found:
                yield found
    files.report()


def class_caption(name: str) -> str:
    """``ApplyEyeMakeup`` -> ``apply eye makeup``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _read_classes(dataset: Dataset, source: Ucf101) -> dict[str, int]:
    """Label of each class, as numbered in ``classInd.txt``; the descriptor's classes must be the same."""
    table = f"{source.lists}/classInd.txt"
    expected = labels_by_name(dataset.classes, source.kind)
    labels: dict[str, int] = {}
    for line, text in _lines(dataset.folder, table):
        number, _, name = text.partition(" ")
        if not number.isdecimal() or int(number) != len(labels) + 1 or not name:
            raise ConfigurationError(f"{dataset.folder.location(table)}, line {line}: expected {len(labels) + 1} NAME")
        labels[name] = len(labels)
    if labels != expected:
        where = dataset.folder.location(table)
        raise ConfigurationError(f"{where}: its {len(labels)} classes are not the {len(expected)} of the descriptor")
    return labels


def _read_list(folder: Folder, table: str, labels: Mapping[str, int]) -> Iterator[tuple[int, str, str]]:
    """(line, clip, class) of each line ``Class/clip.avi`` or ``Class/clip.avi LABEL``."""
    for line, text in _lines(folder, table):
        clip, _, number = text.partition(" ")
        name, slash, _ = clip.partition("/")
        if not slash or name not in labels:
            raise ConfigurationError(f"{folder.location(table)}, line {line}: {text!r} names no class")
        if number and number != str(labels[name] + 1):
            said = f"label {number}, but classInd.txt gives {name} the number {labels[name] + 1}"
            raise ConfigurationError(f"{folder.location(table)}, line {line}: {said}")
        yield line, clip, name


def _lines(folder: Folder, table: str) -> Iterator[tuple[int, str]]:
    """Numbers and text of lines that are not empty, without line endings, which may be CRLF."""
    if not folder.has(table):
        raise ConfigurationError(f"{folder.location(table)}: no such file (source.lists of the descriptor)")
    with folder.open(table) as stream:
        text = stream.read().decode("utf-8", "surrogateescape")
    return ((line, found.strip()) for line, found in enumerate(text.splitlines(), 1) if found.strip())


def _spellings(clip: str) -> list[str]:
    """A clip's path as in the list, then with the other spellings of its folder and its name."""
    folder, _, name = clip.partition("/")
    if folder not in _SPELLINGS:
        return [clip]
    folders = [folder, *(other for other in _SPELLINGS if other != folder)]
    names = [name, *(re.sub("|".join(_SPELLINGS), other, name) for other in _SPELLINGS)]
    return list(dict.fromkeys(f"{directory}/{file}" for directory in folders for file in names))
