"""Captions that are in files of their own, one or more for each video or image."""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath

from walt.core.errors import ConfigurationError
from walt.core.pointers import pointer_in
from walt.data.captions import Caption
from walt.ingest.sources.alike_names import AlikeNames
from walt.ingest.sources.caption_places import CaptionFile
from walt.ingest.sources.folders import Folder
from walt.ingest.tables.cells import BadValue, convert
from walt.ingest.tables.fields import getter
from walt.media.kinds import is_media

LONGEST_TEXT = 1 << 20
_HOLES = ("{path}", "{name}", "{rest}", "{stem}", "{folder}", "{suffix}")


class CaptionFiles:
    """Finds and reads the captions of files."""

    def __init__(self, folder: Folder, files: Sequence[CaptionFile]) -> None:
        """Raises ConfigurationError: a template has no hole, so that all files would have one caption."""
        for file in files:
            if not any(hole in file.file for hole in _HOLES):
                raise ConfigurationError(f"source.captions: '{file.file}' has none of {', '.join(_HOLES)}")
        self._folder = folder
        self._of_template: dict[str, AlikeNames] = {}
        self._files = [(file, [getter(name) for name in file.fields]) for file in files if file.spans is None]
        plain = [_suffix(file.file) for file in files if not file.fields]
        self._named_by_place = len(set(plain)) < len(plain)  # captions_long/{rest}.txt, captions_short/{rest}.txt

    def captions(self, name: str) -> list[Caption] | BadValue:
        """The captions of a whole file; none if there is no such caption file, or it has none of the fields."""
        found: list[Caption] = []
        for file, getters in self._files:
            if "{folder}" in file.file and "/" not in name:
                continue
            place = filled(file.file, name)
            data = self._folder.read(place, LONGEST_TEXT + 1)
            if data is None and (alike := self._alike(file.file, name, place)):
                if isinstance(alike, BadValue):
                    return alike
                place, data = alike, self._folder.read(alike, LONGEST_TEXT + 1)
            if data is None:
                continue
            if len(data) > LONGEST_TEXT:
                return BadValue(f"{place}: longer than {LONGEST_TEXT >> 20} MB")
            if pointer := pointer_in(data):
                return BadValue(f"{place}: {pointer}")
            text = text_of(data)
            if not file.fields:
                kind = _place_of(file.file) if self._named_by_place else _suffix(place) or "text"
                found += [Caption(kind, part) for part in (text.splitlines() if file.lines == "each" else [text])]
                continue
            try:
                record = json.loads(text)
            except (ValueError, RecursionError):
                return BadValue(f"{place}: not valid JSON")
            for field, find in zip(file.fields, getters, strict=True):
                texts = convert(find(record if isinstance(record, dict) else {}), "texts")
                if isinstance(texts, BadValue):
                    return BadValue(f"{place}, {field}: {texts.cause}")
                found += [Caption(field.removeprefix("*."), part) for part in texts or ()]
        return found

    def place(self, template: str, name: str) -> str | BadValue | None:
        """The path of a file's caption file, also where that is spelled in another way; None: there is none."""
        if "{folder}" in template and "/" not in name:
            return None
        place = filled(template, name)
        return place if self._folder.has(place) else self._alike(template, name, place)

    def _alike(self, template: str, name: str, place: str) -> str | BadValue | None:
        """A caption file whose name is spelled in another way than that of the file; None: there is none, or it is that
        of another file."""
        texts = self._texts.of(place)
        files = {filled(template, file) for file in self._media(template).of(place)}
        if not texts or len(files) > 1:
            return None
        if len(texts) > 1:
            return BadValue(f"{' and '.join(sorted(texts)[:3])} may both be its captions")
        return texts[0]

    @cached_property
    def _texts(self) -> AlikeNames:
        return AlikeNames(name for name in self._names if not is_media(name))

    def _media(self, template: str) -> AlikeNames:
        """The caption files that a template gives for the folder's media."""
        if template not in self._of_template:
            made = {filled(template, name) for name in self._names if is_media(name)}
            self._of_template[template] = AlikeNames(made)
        return self._of_template[template]

    @cached_property
    def _names(self) -> list[str]:
        return [*self._folder.names()]


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lstrip(".")


def _place_of(template: str) -> str:
    """What tells one template from another: its own folder, else what follows the file's name."""
    folder, _, end = template.partition("{")
    return folder.rstrip("/").rpartition("/")[2] or end.partition("}")[2].strip("./") or "text"


def text_of(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 where it begins with its mark; bytes that are not become surrogates."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def filled(template: str, name: str) -> str:
    """The path of a file's captions."""
    folder, _, last = name.rpartition("/")
    stem = last.rpartition(".")[0] or last
    path = f"{folder}/{stem}" if folder else stem
    rest = path.partition("/")[2] or path
    holes = {"{path}": path, "{name}": name, "{rest}": rest, "{stem}": stem, "{folder}": folder}
    holes["{suffix}"] = last.removeprefix(stem)
    for hole, value in holes.items():
        template = template.replace(hole, value) if hole in template else template
    return template
