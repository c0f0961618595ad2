"""Recognises tars of samples: where keys end, and which members hold captions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.ingest.layouts.caption_fields import caption_fields, fields_of_prose, texts_inside
from walt.ingest.layouts.unused import Unused
from walt.ingest.sources import energon_splits
from walt.ingest.sources.file_list import split_of
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.kinds import WebDatasetTars
from walt.ingest.sources.tar_members import Place, members
from walt.ingest.sources.webdataset_tars import INDEX, LONGEST_INDEX, LONGEST_TEXT, key_and_extension
from walt.ingest.tables.read import is_table
from walt.media.kinds import is_media

_LOOKED_AT = 64
_TEXTS = ("txt", "text", "caption", "cap", "prompt")
_MAY_HOLD_CAPTIONS = ("srt", "vtt", "xml", "yaml", "yml", "pickle", "pkl")
_ENERGON = ".nv-meta"
_MOST_MEMBERS = 10_000
_MOST_NAMED = 16
_MOST_LOOKED_AT = 8
_MOST_FOLDERS = 64


@dataclass
class Tars:
    """How tars are read."""

    source: WebDatasetTars
    captioned: bool
    notes: list[str] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    """Members in which no captions were found, and may be."""


@dataclass
class _Look:
    """The first members of some tars, by the name of their tar and their own."""

    places: dict[str, Place] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    """Content of small members that are not pictures or videos."""
    tables: list[str] = field(default_factory=list)
    """Members that end like a table, also behind the first ones."""

    def joined(self, rule: str) -> dict[str, dict[str, str]]:
        """Extension -> name of the members of each key that has a picture or video."""
        keys: dict[str, dict[str, str]] = defaultdict(dict)
        for name in self.places:
            key, extension = key_and_extension(name, rule)
            keys[key][extension] = name
        return {key: found for key, found in keys.items() if any(is_media(name) for name in found.values())}


def recognise_tars(folder: Folder, tars: list[str], patterns: tuple[str, ...]) -> Tars:
    """Look into the first of some tars, and into some of the others.

    Args:
        patterns: what the descriptor names.

    Raises:
        ConfigurationError: there is no tar, or the first one holds no pictures or videos or cannot be read.
    """
    if not tars:
        raise ConfigurationError(f"{folder.location(patterns[0])}: no such file")
    look = _look(folder, tars)
    best = max(("last_dot", "first_dot"), key=lambda rule: _num_captions(look, rule))
    video = _video_with_captions(look) if best == "last_dot" else None
    best = "first_dot" if video else best
    samples = look.joined(best)
    if not samples:
        said = f"no pictures or videos among its first {_LOOKED_AT} members"
        raise ConfigurationError(f"{folder.location(tars[0])}: {said}")
    extensions = Counter(extension for found in samples.values() for extension in found)
    captions, notes = _captions(look, samples, extensions), list[str]()
    metas = _energon_metas(folder, tars)
    if metas and not set(stated := energon_splits.captions(folder, metas[0])) <= set(captions):
        captions = stated
    if not captions and (fields := _index_fields(folder, tars[0])):
        captions = tuple(f"{INDEX}:{name}" for name in fields)
    if captions:
        notes.insert(0, f"captions from {', '.join(captions)}")
    settings: dict[str, Any] = {"caption": captions or "txt", "key_ends_at": best}
    if metas:
        settings["energon"] = metas[0] if len(metas) == 1 else metas
        notes.append(f"splits and exclusions from {', '.join(f'{meta}/split.yaml' for meta in metas)}")
        splits = energon_splits.read(folder, metas)
        if left := sum(map(splits.leaves_out, tars)):
            notes.append(f"tars left out, since they are excluded or in no split: {left}")
    elif {split_of(tar) for tar in tars} == {"train", "held_out"}:
        settings["split"] = "name"
        notes.append("splits from the names of the tars")
    if best == "first_dot":
        notes.append("a key ends at the first dot of a name")
    if video:
        settings["video"] = video
        others = sorted({name for found in samples.values() for name in found if is_media(f"x.{name}")} - {video})
        notes.append(f"members .{', .'.join(others)} beside .{video} are not inputs")
    several = Counter(len([name for name in found.values() if is_media(name)]) > 1 for found in samples.values())
    if several[True] and not video:
        notes.append("a key has several pictures or videos: each is an input; `video` in the descriptor chooses one")
    source = WebDatasetTars(kind="webdataset", tars=patterns, damaged="stop", **settings)
    unused = [] if captions else [*_unused(look, samples, extensions)]
    return Tars(source, bool(captions), notes, unused)


def patterns_of(tars: list[str]) -> tuple[str, ...]:
    """The tars of a folder for a descriptor: by name, or by a glob where they are many."""
    return tuple(tars) if len(tars) <= _MOST_NAMED else ("**/*.tar",)


def _look(folder: Folder, tars: list[str]) -> _Look:
    """Look into the first tar, and into some of the others, since captions may be in other members there, or only
    there. Raises ConfigurationError: the first one cannot be read."""
    look = _Look()
    for tar in dict.fromkeys((tars[0], *tars[1 :: -(-len(tars) // _MOST_LOOKED_AT)], tars[-1])):
        try:
            _look_into(look, folder, tar)
        except CorruptArtifactError as error:
            if tar == tars[0]:
                raise ConfigurationError(str(error)) from None
    return look


def _look_into(look: _Look, folder: Folder, tar: str) -> None:
    """Add what a tar holds."""
    with folder.open(tar) as stream:
        places: dict[str, Place] = {}
        for number, (name, refusal, place) in enumerate(members(folder.location(tar), stream)):
            if refusal is None and number < _LOOKED_AT:
                places[name] = place
            if refusal is None and is_table(name):
                look.tables.append(f"{tar}/{name}")
            if number >= _MOST_MEMBERS:
                break
        for name, place in places.items():
            look.places[f"{tar}/{name}"] = place
            if not is_media(name) and place.size <= LONGEST_TEXT:
                look.texts[f"{tar}/{name}"] = _read(stream, place)


def _read(stream: IO[bytes], place: Place) -> bytes:
    stream.seek(place.offset)
    return stream.read(place.size)


def _video_with_captions(look: _Look) -> str | None:
    """The extension of the inputs, where all other pictures and videos are beside one that has a caption, with its name
    and a word (``0.mp4``, ``0.control.mp4``); None: they are not."""
    samples = look.joined("last_dot")
    captioned = {key for key, found in samples.items() if any(_is_text(name) or name == "json" for name in found)}
    others = [f"{key}.{name}" for key, found in samples.items() if key not in captioned for name in found]
    keys = {key_and_extension(name, "first_dot")[0] for name in others}
    inputs = {name for key in captioned for name in samples[key] if is_media(f"x.{name}")}
    if not others or not keys <= captioned or len(inputs) != 1:
        return None
    plain = all(key_and_extension(f"{key}.x", "first_dot")[0] == key for key in captioned)
    return inputs.pop() if plain else None


def _num_captions(look: _Look, rule: str) -> int:
    """Keys that have a picture and something that may be its caption."""
    return sum(
        any(_is_text(extension) or extension.endswith("json") for extension in found)
        for found in look.joined(rule).values()
    )


def _is_text(extension: str) -> bool:
    """Whether it is that of a text, as in ``k1.txt`` and, where keys end at the first dot, ``k1.caption.txt``."""
    return extension.rpartition(".")[2] in _TEXTS


def _captions(look: _Look, samples: dict[str, dict[str, str]], extensions: Iterable[str]) -> tuple[str, ...]:
    """What the descriptor names for captions: texts, and fields of JSON by the usual names."""
    texts = sorted(filter(_is_text, extensions), key=lambda name: (_TEXTS.index(name.rpartition(".")[2]), name))
    fields: dict[str, None] = {}
    for extension in sorted(extension for extension in extensions if extension.endswith("json")):
        records = [_record(look, found[extension]) for found in samples.values() if extension in found]
        fields |= dict.fromkeys(f"{extension}:{name}" for name in caption_fields(records))
    return (*texts, *fields)


def _unused(look: _Look, samples: dict[str, dict[str, str]], extensions: Iterable[str]) -> Iterator[Unused]:
    """Members in which no captions were found: those beside media, and tables and texts that belong to no sample."""
    if beside := [f"members .{name}" for name in sorted(extensions) if _may_hold_captions(look, samples, name)]:
        said = "no captions were found in them; of JSON the descriptor may name a field (caption: json:KEY)"
        yield Unused(beside, said, True)
    joined = {name for found in samples.values() for name in found.values()}
    tables = [name for name in look.tables if name not in joined]
    ends = (*_TEXTS, *_MAY_HOLD_CAPTIONS)
    texts = [name for name in look.texts if name.rpartition(".")[2].lower() in ends and name not in joined]
    for names, what in ((tables, "tables"), (texts, "texts")):
        if names:
            said = f"{what} inside of a tar, of no sample by their names: unpack it, and give the folder"
            yield Unused(names, said, True)


def _may_hold_captions(look: _Look, samples: dict[str, dict[str, str]], extension: str) -> bool:
    """Whether members are of a kind that is not read and may be captions; of JSON: other than
    records, or records with texts."""
    if not extension.endswith("json"):
        return extension.rpartition(".")[2] in _MAY_HOLD_CAPTIONS
    records = [_record(look, found[extension]) for found in samples.values() if extension in found]
    return any(not record or any(texts_inside(record)) or any(fields_of_prose(record)) for record in records)


def _record(look: _Look, name: str) -> dict[str, Any]:
    try:
        found = json.loads(look.texts.get(name, b"").decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _energon_metas(folder: Folder, tars: list[str]) -> tuple[str, ...]:
    """Folders of energon's descriptions, of the whole folder or else of those that tars are in."""
    inside = {tar.rpartition("/")[0] for tar in tars}
    above = {"/".join(name.split("/")[:depth]) for name in inside for depth in range(1, name.count("/") + 2)}
    for folders in ([""], sorted(above)[:_MOST_FOLDERS]):
        names = [f"{name}/{_ENERGON}".lstrip("/") for name in folders]
        if found := tuple(name for name in names if folder.read(f"{name}/split.yaml", 1) is not None):
            return found
    return ()


def _index_fields(folder: Folder, tar: str) -> tuple[str, ...]:
    """Fields with captions in the JSON file beside a tar."""
    data = folder.read(f"{tar.removesuffix('.tar')}.json", LONGEST_INDEX)
    try:
        files = {} if data is None else json.loads(data)["files"]
        return caption_fields([record for record in islice(files.values(), _LOOKED_AT) if isinstance(record, dict)])
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return ()
