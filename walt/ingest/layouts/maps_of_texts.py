"""Recognises JSON that maps files to captions more than once: a map for each language, model or length of them."""

from __future__ import annotations

from itertools import islice
from typing import Any

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.paths_of_tables import Paths, find_paths
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.sources.file_list import split_of
from walt.ingest.tables.cells import Record
from walt.ingest.tables.fields import EVERY, FILE, KEY, VALUE

_LOOKED_AT = 32
_FIRST = ("en", "eng", "english", "caption", "captions")
"""Those of several languages that come first: what is encoded here knows English best."""
_LANGUAGES = frozenset((
    "ar", "cn", "cs", "de", "en", "eng", "es", "fa", "fr", "he", "hi", "it", "ja", "jp", "ko", "kr", "nl", "pl", "pt",
    "ru", "sv", "th", "tr", "uk", "vi", "zh", "chinese", "english", "french", "german", "italian", "japanese",
    "korean", "portuguese", "russian", "spanish",
))  # fmt: skip
_LENGTHS = frozenset(("brief", "dense", "detailed", "long", "medium", "short"))


def maps_of_texts(survey: Survey, seen: Peek) -> tuple[dict[str, Any], Paths, list[str]] | str | None:
    """How to read a JSON file of maps from files to captions (``{"en": {"a.mp4": "a cat"}, "de": {...}}``): settings of
    ``FileList``, its paths, and notes; a text: why it must not be read; None: it is none."""
    whole = seen.records[0].get(FILE) if seen.records else None
    if not isinstance(whole, dict) or any(isinstance(value, list) for value in whole.values()):
        return None
    maps = {name: value for name, value in whole.items() if _is_map(value)}
    keys = dict.fromkeys(key for value in maps.values() for key in islice(value, _LOOKED_AT))
    records: list[Record] = [{KEY: key} for key in keys]
    paths = find_paths(survey, Peek(seen.table, (KEY,), records), KEY)
    if paths is None or not paths.hits:
        return None
    about = [name for name, value in maps.items() if any(key in paths.found for key in islice(value, _LOOKED_AT))]
    if all(map(split_of, about)):
        return f"a map of files for each split ({', '.join(about)}): write a table with a column of the split"
    captions = sorted(filter(_is_of_captions, about), key=lambda name: name.lower() not in _FIRST)
    if not captions or len(captions) < len(about):
        return f"maps of files to texts at {', '.join(about)}, of which not all are captions: write a table of them"
    notes = [f"captions from {', '.join(captions)}, a map of files each"]
    if len(captions) == 1:
        return {"records": captions[0], "path_column": KEY, "caption_columns": (VALUE,)}, paths, notes
    if others := [name for name, value in whole.items() if isinstance(value, dict) and name not in captions]:
        return f"maps of files to captions at {', '.join(captions)}, beside {', '.join(others)}: write a table of them"
    return {"records": EVERY, "path_column": KEY, "caption_columns": tuple(captions)}, paths, notes


def _is_map(value: Any) -> bool:
    """Whether a value maps names to texts, or to lists of them."""
    inside = list(islice(value.values(), _LOOKED_AT)) if isinstance(value, dict) else []
    return bool(inside) and all(isinstance(text, str) or _is_list_of_texts(text) for text in inside)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _is_of_captions(name: str) -> bool:
    """Whether a map is of captions, by its name: ``captions``, ``short``, ``en``, ``zh-CN``."""
    plain = name.lower()
    known = plain in _LANGUAGES | _LENGTHS or plain.partition("-")[0] in _LANGUAGES
    return known or usual_names.is_caption(name)
