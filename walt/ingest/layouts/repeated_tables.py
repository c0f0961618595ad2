"""Tables of one form that say different things of the same files, as copies and older versions of a table do."""

from __future__ import annotations

import posixpath
from itertools import combinations

from walt.ingest.layouts.peek import peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.tables import Recognised
from walt.ingest.layouts.templates import value_of
from walt.ingest.tables.fields import getter

_MOST = 16
"""Tables that are compared."""


def said_twice(survey: Survey, found: Recognised) -> str | None:
    """Why it is not clear which captions are meant; None: the tables are of different files, as parts of one are.

    Looked at are the first records of each: most files of one are in the other, with other captions.
    """
    if not found.has_captions or len(found.tables) < 2:
        return None
    captions = {table: _captions(survey, found, table) for table in found.tables[:_MOST]}
    for one, other in combinations(captions, 2):
        both = captions[one].keys() & captions[other].keys()
        differ = sorted(file for file in both if captions[one][file] != captions[other][file])
        if differ and len(both) * 2 > min(len(captions[one]), len(captions[other])):
            said = f"{one} and {other} both have captions of {differ[0][0]}, which differ"
            return f"{said}: say which is meant with --captions TABLE, or name both in the descriptor"
    return None


def _captions(survey: Survey, found: Recognised, table: str) -> dict[tuple[str, ...], set[str]]:
    """File and span -> the captions of the first records."""
    settings = found.settings
    folder = posixpath.dirname(table) if settings.get("relative_to") == "table" else ""
    parts = [getter(name) for name in settings.get("span_columns", ())]
    texts = [getter(name) for name in settings["caption_columns"]]
    said: dict[tuple[str, ...], set[str]] = {}
    for record in peek(survey.folder, table).records:
        name = value_of(record, settings["path_column"])
        key = (posixpath.normpath(posixpath.join(folder, name)), *(repr(part(record)) for part in parts))
        said.setdefault(key, set()).update(repr(text(record)) for text in texts)
    return said
