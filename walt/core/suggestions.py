"""Suggests the most similar valid name, for a message about an invalid one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The one of ``known`` that is most similar to ``name``; None if none is similar.

    Args:
        cutoff: the smallest accepted similarity, from 0 to 1, by ``difflib.SequenceMatcher.ratio``.
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.5) -> str:
    """The end of a message: ``; did you mean 'base'?``.

    If none of ``known`` is similar to ``name``, it is ``otherwise``, after the same semicolon; by default nothing. See
    ``nearest`` for ``cutoff``.
    """
    found = nearest(name, known, cutoff)
    if found is None:
        return f"; {otherwise}" if otherwise else ""
    # as walt.core.printable, which is not imported: it would be in the identity of every stage, for a message
    shown = found.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return f"; did you mean '{shown}'?"
