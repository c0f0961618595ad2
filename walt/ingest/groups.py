"""Groups: inputs that were cut from one recording, which are on one side of the split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from walt.ingest.sources.items import Again, Entry, Item

PATTERNS = {
    "scenes of one video": r"^(.*)-Scene-\d+",
    "spans of one video, by their seconds": r"^(.*)_\d{6}_\d{6}(?:\.[^./]*)?(?:#.*)?$",
    "UCF's groups": r"^(.*_g\d+)_c\d+",
    "chapters of one GoPro recording": r"(?i)(?:^|/)G(?:[HXLS]\d\d|P\d\d|OPR)(\d{4})(?:\.[^./]*)?(?:#.*)?$",
    "numbered clips of one YouTube video": r"^((?:.*/)?[0-9A-Za-z_-]{11})_\d+(?:\.[^./]*)?(?:#.*)?$",
}
"""What names of inputs say of the recording that they are from, and how: the first group of each is the recording."""

_SHARE = 0.8
"""Of the names must follow a pattern for it to be taken."""


def find_group_pattern(names: Iterable[str]) -> tuple[str, str] | None:
    """The pattern that most names follow, and what it finds; None: none does, or it finds no groups of several inputs,
    or a single group."""
    names = list(names)
    for what, pattern in PATTERNS.items():
        found = Counter(match[1] for name in names if (match := re.search(pattern, name)))
        if found.total() >= _SHARE * len(names) and 1 < len(found) < found.total():
            return pattern, what
    return None


def with_groups(entries: Iterable[Entry], pattern: str | None) -> Iterator[Entry]:
    """The same entries, with the group that the pattern finds in an input's name where it has none yet."""
    if pattern is None:
        yield from entries
        return
    expression = re.compile(pattern)
    for entry in entries:
        if isinstance(entry, Again):
            yield replace(entry, item=_grouped(entry.item, expression))
        else:
            yield _grouped(entry, expression) if isinstance(entry, Item) else entry


def _grouped(item: Item, expression: re.Pattern[str]) -> Item:
    match = None if item.group is not None else expression.search(item.source)
    return item if match is None else item._replace(group=match[1])
