"""Looks into the headers of a few files, each in a process that can be killed.

A file that hangs or crashes its reader says nothing then; ingest will say of it what there is to say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

from walt.ingest.layouts.survey import Survey
from walt.ingest.sources.locations import is_plain
from walt.media import header
from walt.workers.execute import map_in_processes
from walt.workers.outcomes import MapLimits

T = TypeVar("T")
_LIMITS = MapLimits(num_workers=1, timeout_seconds=20.0, memory_mb=4096)


def seconds_of(survey: Survey, names: Iterable[str]) -> dict[str, float]:
    """How long those of the files are whose header says so."""
    return look_into(survey, names, header.seconds)


def tags_of(survey: Survey, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The tags of those of the videos that can be opened, by their names in lower case."""
    return look_into(survey, names, header.tags)


def look_into(survey: Survey, names: Iterable[str], look: Callable[[bytes], T | None]) -> dict[str, T]:
    """What ``look``, which is importable by its module's name, makes of each file's path; without files that are not on
    this machine, of which it makes None, or in which its process dies or takes too long."""
    places = {name: place for name in names if is_plain(place := survey.folder.location(name))}
    if not places:
        return {}
    outcomes = map_in_processes(look, map(os.fsencode, places.values()), _LIMITS)
    found = zip(places, outcomes, strict=True)
    return {name: outcome.value for name, outcome in found if outcome.value is not None}
