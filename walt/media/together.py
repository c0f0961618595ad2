"""Several readings of one video that share one decoding of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from walt.media.images import Limits, SourceError
from walt.media.video import Fit, Reader, Reading, read_pictures


class _Noted(Exception):
    """Ends a reading whose moments are noted."""


def moments_of(work: Callable[[Reader], object]) -> list[Fraction]:
    """The moments that ``work`` reads first, found without reading; none if it fails before that."""
    noted: list[Fraction] = []

    def note(path: str | Path, moments: Sequence[Fraction], fit: Fit, limits: Limits) -> Reading:
        noted.extend(moments)
        raise _Noted

    try:
        work(note)
    except (_Noted, SourceError):
        return noted
    return noted


def shared_reader(path: Path, requests: Sequence[Sequence[Fraction]], fit: Fit, limits: Limits) -> Reader:
    """A reader that has read all of these moments already.

    What is shown at a moment does not depend on the others, so it returns what ``read_pictures`` would. Where reading
    them together fails, or other moments are requested, ``read_pictures`` itself is used: one error must not refuse
    moments that could be read without meeting it.

    Args:
        fit: chooses the same sizes as those that the readings will request.
    """
    union = frozenset(moment for moments in requests for moment in moments)
    try:
        facts, pictures, only_one = read_pictures(path, sorted(union), fit, limits)
    except (SourceError, OSError):
        return read_pictures

    def read(path: str | Path, moments: Sequence[Fraction], fit: Fit, limits: Limits) -> Reading:
        if not union.issuperset(moments):
            return read_pictures(path, moments, fit, limits)
        fit(facts)
        return facts, {moment: pictures[moment] for moment in moments if moment in pictures}, only_one

    return read
