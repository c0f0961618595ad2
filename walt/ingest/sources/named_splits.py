"""The split of a file by its name, where a descriptor gives globs for each split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from walt.core.errors import ConfigurationError
from walt.ingest.sources.folders import glob_expression

if TYPE_CHECKING:  # workers import this package, and need no tables
    from walt.data.clip_table import Split


def split_by_globs(name: str, split: Mapping[Split, tuple[str, ...]] | None) -> Split | None:
    """The split of a file; None: the descriptor names none. Raises ConfigurationError: it is in both, or in neither."""
    if split is None:
        return None
    found = [
        part for part, patterns in split.items() if any(glob_expression(glob).fullmatch(name) for glob in patterns)
    ]
    if len(found) != 1:
        said = "both splits" if found else "neither split"
        raise ConfigurationError(f"source.split: {name} is in {said}")
    return found[0]
