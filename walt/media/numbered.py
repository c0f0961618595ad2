"""Videos that are folders of numbered pictures: which pictures, in which order, and whether one is missing."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from walt.media.images import SourceError
from walt.media.stills import SUFFIXES

_NUMBERED = re.compile(r"(.*?)(\d+)(\.[^.]+)", re.DOTALL)
MOST_DIGITS = 18


@dataclass(frozen=True)
class Frame:
    """One numbered picture."""

    name: str
    begin: str
    """What is before the number."""
    number: int
    suffix: str


def numbered(name: str) -> Frame | None:
    """A picture's name with a number before its suffix (``0001.png``, ``frame_12.jpg``); None: it is not one."""
    match = _NUMBERED.fullmatch(name)
    if match is None or name.startswith(".") or PurePosixPath(name).suffix.lower() not in SUFFIXES:
        return None
    begin, digits, suffix = match.groups()
    return Frame(name, begin, int(digits), suffix.lower()) if len(digits) <= MOST_DIGITS else None


def in_order(names: Iterable[str]) -> list[str]:
    """The frames among the names in a folder, in the order of their numbers: 2 is before 10.

    Raises:
        SourceError: ``no_frames``; ``mixed_frames`` (two sequences, two formats, or a picture without a number among
            them); ``missing_frame`` (a gap in the numbers); ``repeated_frame`` (``1.png`` and ``01.png``).
    """
    pictures = [name for name in names if not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES]
    frames = sorted(
        (frame for frame in map(numbered, pictures) if frame), key=lambda frame: (frame.number, os.fsencode(frame.name))
    )
    if not frames:
        raise SourceError("no_frames", "the folder holds no numbered pictures")
    if len(frames) < len(pictures):
        known = {frame.name for frame in frames}
        other = min(name for name in pictures if name not in known)
        raise SourceError("mixed_frames", f"{other} has no number, beside {frames[0].name}")
    first = frames[0]
    for before, frame in itertools.pairwise(frames):
        if (frame.begin, frame.suffix) != (first.begin, first.suffix):
            raise SourceError("mixed_frames", f"{first.name} and {frame.name} are of two sequences")
        if frame.number == before.number:
            raise SourceError("repeated_frame", f"{before.name} and {frame.name} have one number")
        if frame.number != before.number + 1:
            lost = frame.number - before.number - 1
            raise SourceError("missing_frame", f"{lost} missing between {before.name} and {frame.name}")
    return [frame.name for frame in frames]
