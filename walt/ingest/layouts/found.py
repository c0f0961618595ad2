"""What a look at a folder gives: the section that reads it, and notes for the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from walt.ingest.sources.kinds import FrameFolders, LeRobot, ParquetBytes

CAPTION_NAMES = (
    "caption", "captions", "text", "prompt", "cap", "sentence", "dense_caption", "short_caption", "long_caption",
)  # fmt: skip
"""Keys and columns that usually hold captions."""
_TRAIN = ("train", "training")
_HELD_OUT = ("val", "valid", "validation", "test", "eval", "dev")


@dataclass(frozen=True)
class Found:
    """A folder that was recognised."""

    source: ParquetBytes | LeRobot | FrameFolders
    captioned: bool
    notes: tuple[str, ...]
    """One line each: what was taken, and what was seen and is not used."""


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
        globs["train" if found[0] in _TRAIN else "held_out"].add(found[1])
    return {key: tuple(sorted(found)) for key, found in globs.items()} if all(globs.values()) else None


def _split_and_glob(name: str, suffix: str) -> tuple[str, str] | None:
    """The split in a name, and a glob for all files that are named so."""
    folder, slash, last = name.rpartition("/")
    for word in (*_TRAIN, *_HELD_OUT):
        begin = last[: len(word) + 1]
        if begin.lower() in (f"{word}-", f"{word}_", f"{word}."):
            return word, f"{folder}{slash}{begin}*{suffix}"
    first = name.partition("/")[0]
    if slash and first.lower() in (*_TRAIN, *_HELD_OUT):
        return first.lower(), f"{first}/**/*{suffix}"
    return None
