"""Several readings of one video that share one decoding of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from walt.media.images import Limits, SourceError
from walt.media.video import Fit, Moments, Reader, Reading, read_pictures


class _Noted(Exception):
    """Ends a reading whose moments are noted."""


def no_moments(first: Fraction) -> list[Fraction]:
    """Of a reading that fails before it begins."""
    return []


def moments_of(work: Callable[[Reader], object]) -> Moments:
    """The moments that ``work`` reads first, found without reading; none if it fails before that."""
    noted: list[Moments] = [no_moments]

    def note(path: str | Path, moments: Moments, fit: Fit, limits: Limits) -> Reading:
        noted.append(moments)
        raise _Noted

    try:
        work(note)
    except (_Noted, SourceError):
        return noted[-1]
    return noted[-1]


def shared_reader(path: Path, requests: Sequence[Moments], fit: Fit, limits: Limits) -> Reader:
    """A reader that has read all of these moments already.

    What is shown at a moment does not depend on the others, so it returns what ``read_pictures`` would. Where reading
    them together fails or meets damage, where time begins again inside the file, or where other moments are requested,
    ``read_pictures`` itself is used: one error must not refuse moments that could be read without meeting it.

    Args:
        fit: chooses the same sizes as those that the readings will request.
    """

    def union(first: Fraction) -> list[Fraction]:
        return sorted({moment for request in requests for moment in request(first)})

    try:
        shared = read_pictures(path, union, fit, limits)
    except (SourceError, OSError):
        return read_pictures
    if shared.joins or shared.damage or shared.has_gaps:
        return read_pictures
    known = frozenset(union(shared.late))

    def read(path: str | Path, moments: Moments, fit: Fit, limits: Limits) -> Reading:
        wanted = moments(shared.late)
        if not known.issuperset(wanted):
            return read_pictures(path, moments, fit, limits)
        fit(shared.facts)
        return replace(shared, pictures={at: shared.pictures[at] for at in wanted if at in shared.pictures})

    return read
