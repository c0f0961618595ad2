"""The nearest of the names that would have been right, for a message about one that is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from walt.core.paths import printable


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The one of ``known`` that is most like ``name``; None where none is.

    Args:
        cutoff: the least similarity, from 0 to 1, as ``difflib.SequenceMatcher.ratio`` has it.
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.5) -> str:
    """The end of a message: ``; did you mean 'base'?``.

    Where none of ``known`` is like ``name`` it is ``otherwise``, after the same semicolon; by default nothing. See
    ``nearest`` for ``cutoff``.
    """
    found = nearest(name, known, cutoff)
    ending = otherwise if found is None else f"did you mean '{printable(found)}'?"
    return f"; {ending}" if ending else ""
