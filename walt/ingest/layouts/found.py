"""What a look at a folder gives: the section that reads it, and notes for the user."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from walt.ingest.sources.file_list import split_of
from walt.ingest.sources.kinds import FrameFolders, LeRobot, ParquetBytes


@dataclass(frozen=True)
class Found:
    """A folder that was recognised."""

    source: ParquetBytes | LeRobot | FrameFolders
    captioned: bool
    notes: tuple[str, ...]
    """One line each: what was taken, and what was seen and is not used."""
    unread: tuple[str, ...] = ()
    """Columns that have the name of captions, and hold something else than texts."""


def splits_by_name(names: list[str], suffix: str) -> dict[Literal["train", "held_out"], tuple[str, ...]] | None:
    """Globs for files whose names, or first folders, begin with the name of a split (``train-00000.tar``,
    ``test/0.tar``).

    Returns:
        None: some file has no split in its name, or all are in one.
    """
    globs: dict[Literal["train", "held_out"], set[str]] = {"train": set(), "held_out": set()}
    for name in names:
        found = _split_and_glob(name, suffix)
        if found is None:
            return None
        globs[found[0]].add(found[1])
    return {key: tuple(sorted(found)) for key, found in globs.items()} if all(globs.values()) else None


def _split_and_glob(name: str, suffix: str) -> tuple[Literal["train", "held_out"], str] | None:
    """The split in a name, and a glob for all files that are named so."""
    folder, slash, last = name.rpartition("/")
    begin = re.match("[A-Za-z]+[-_.]", last)
    if begin and (split := split_of(begin[0])):
        alone = last == f"{begin[0][:-1]}{suffix}"
        return split, name if alone else f"{folder}{slash}{begin[0]}*{suffix}"
    first = name.partition("/")[0]
    if slash and (split := split_of(first)):
        return split, f"{first}/**/*{suffix}"
    return None
