"""Files that a table names in other columns than its videos: controls, masks, references, first frames, thumbnails.

Trainers that take more than a caption have them beside the videos. They are not inputs without captions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from walt.core.errors import ConfigurationError
from walt.ingest.layouts.peek import Peek, peek, records
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.kinds import FileList
from walt.ingest.tables.cells import spelled
from walt.ingest.tables.fields import getter, holes
from walt.ingest.tables.read import find_tables
from walt.media.kinds import is_media


def further_columns(folder: Folder, source: FileList) -> dict[str, tuple[str, ...]]:
    """Table -> its columns that name videos or images, other than that of the paths; tables without are left out."""
    own, found = holes(source.path_column), dict[str, tuple[str, ...]]()
    for table in find_tables(folder, source.tables):
        seen = peek(folder, table)
        names = tuple(name for name in seen.columns if name not in own and _names_media(seen, name))
        found |= {table: names} if names else {}
    return found


def named_there(folder: Folder, columns: Mapping[str, tuple[str, ...]], files: Iterable[str]) -> Counter[str]:
    """How many of the files each column names; empty if not all files are named.

    Args:
        columns: as ``further_columns`` finds them.
        files: paths in the folder. A name is of a file if the shorter of their paths is the end of the other.
    """
    left, known = defaultdict[str, list[str]](list), frozenset(files)
    for path in sorted(known):
        left[path.rpartition("/")[2]].append(path)
    found: Counter[str] = Counter()
    for table, names in columns.items():
        getters = [(name, getter(name)) for name in names]
        try:
            for record in records(folder, peek(folder, table)):
                for name, get in getters:
                    found[name] += sum(_take(left, known, value) for value in _names(get(record)))
                if not left:
                    return +found
        except ConfigurationError:  # said where the table is read
            continue
    return Counter()


def _names_media(seen: Peek, column: str) -> bool:
    find = getter(column)
    return any(any(_names(find(record))) for record in seen.records)


def _names(value: Any) -> Iterator[str]:
    """The videos and images that a cell names."""
    inside = spelled(value) if isinstance(value, str) and value.startswith("[") else value
    for part in inside if isinstance(inside, list | tuple) else (inside,):
        if isinstance(part, str) and is_media(part.strip()):
            yield part.strip().replace("\\", "/")


def _take(left: dict[str, list[str]], known: Container[str], name: str) -> bool:
    """Take the file that a name is of from those that are left, by its own name; False: there is none.

    Args:
        known: all files: a name that is the path of one is of no other.
    """
    path = name.removeprefix("./").lstrip("/")
    there = left.get(path.rpartition("/")[2], [])
    like = [file for file in there if f"/{file}".endswith(f"/{path}") or f"/{path}".endswith(f"/{file}")]
    found = path if path in there else None if path in known else next(iter(like), None)
    if found is None:
        return False
    there.remove(found)
    if not there:
        del left[path.rpartition("/")[2]]
    return True
