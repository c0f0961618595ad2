"""Recognises captions that are in a file of their own for each video or image: beside it, or in a sibling folder."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

from walt.ingest.layouts.caption_fields import (
    are_settings,
    are_spoken,
    are_subtitles,
    are_words_of,
    caption_fields,
    captions_in_lists,
    fields_of_prose,
    fields_of_workflow,
    texts_inside,
)
from walt.ingest.layouts.companions import folder_of_companions, of_several
from walt.ingest.layouts.parts_beside import part_file, recognise_parts, spans_of_records
from walt.ingest.layouts.peek import peek
from walt.ingest.layouts.survey import TEXTS, Survey
from walt.ingest.layouts.texts_of_folders import OF_FOLDER, of_folders, record_in, text_in
from walt.ingest.sources.alike_names import folded
from walt.ingest.sources.caption_files import filled
from walt.ingest.sources.caption_places import CaptionFile
from walt.ingest.sources.folders import glob_expression
from walt.ingest.tables.fields import getter

_LOOKED_AT = 32
_AND_ITS_CAPTION = re.compile(
    r"(.+)([_-])(captions?|prompts?|desc|descriptions?|texts?|segments?|annotations?|metadata|meta|info|parts|scenes|"
    r"ar|cn|cs|de|en|eng|es|fr|hi|it|ja|jp|ko|kr|nl|pl|pt|ru|sv|th|tr|uk|vi|zh|chinese|english|french|german|"
    r"japanese|korean|spanish)",
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"\.[a-z]{2}$")  # of a.zh-CN
_MIDDLE = re.compile(r"[A-Za-z0-9_-]{1,16}")
_OF_DOWNLOADERS = ("extractor", "extractor_key", "webpage_url", "formats")
"""Fields of yt-dlp's records of web videos: what stands there as a description is the uploader's, of whatever."""


@dataclass
class Sidecars:
    """Which files hold the captions of which."""

    files: list[CaptionFile] = field(default_factory=list)
    """For the descriptor: those to use."""
    owners: dict[str, str] = field(default_factory=dict)
    """Texts, JSON files and tables that they find, each with the file that it is of."""
    beside: dict[str, bool] = field(default_factory=dict)
    """All texts and JSON files that belong to one media file each, and whether they hold captions."""
    subtitles: list[str] = field(default_factory=list)
    """Of those: texts that are subtitles."""
    settings: list[str] = field(default_factory=list)
    """Texts with which a program made the files: prompts, also of what should not be seen, seeds, numbers of steps."""
    shared: set[str] = field(default_factory=set)
    """Texts in a folder of their own whose name files of several folders have."""
    apart: set[str] = field(default_factory=set)
    """Globs of files that have the names of others, in folders of masks, controls and the like: no inputs."""
    unread: dict[str, str] = field(default_factory=dict)
    """Tables of the parts of one file each, and why these parts are not read."""
    deeper: dict[str, str] = field(default_factory=dict)
    """Of JSON files whose captions of the whole are read: further ones in lists inside of them."""
    reports: list[str] = field(default_factory=list)
    """Tables in which a downloader says what it wrote, with the same captions."""
    others: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of those without captions by their names: fields that hold texts."""
    notes: list[str] = field(default_factory=list)

    @property
    def used(self) -> set[str]:
        """The names of what they find."""
        return set(self.owners)

    @property
    def excluded(self) -> tuple[str, ...]:
        """For the descriptor: globs of what is no input."""
        return tuple(sorted(self.apart))


def recognise_sidecars(survey: Survey, wanted: tuple[str, ...] = ()) -> Sidecars:
    """Look for captions of single files among the texts and the JSON files of a folder.

    Args:
        wanted: fields of JSON files that the user named, used instead of those with the usual names.
    """
    found = Sidecars()
    templates = _templates(survey, [*survey.texts, *survey.tables], found)
    texts = {template: names for template, names in templates.items() if template.lower().endswith(TEXTS)}
    records = {template: names for template, names in templates.items() if template.lower().endswith(".json")}
    for names in texts.values():
        found.beside |= dict.fromkeys(names, True)
    _add_texts(found, survey, texts)
    others = [(template, names) for template, names in sorted(templates.items()) if template not in texts]
    heard = {template for template, names in records.items() if not wanted and _are_spoken(survey, names)}
    parts = {
        template: None if template in heard else recognise_parts(survey, template, names, wanted)
        for template, names in others
    }
    for template in (template for template, section in parts.items() if section is not None):
        if wanted or not _has_captions_of_the_whole(survey, template, templates[template], parts[template]):
            records.pop(template, None)
    for template, names in sorted(records.items()):
        looked = [record_in(survey, name) for name in islice(names, _LOOKED_AT)]
        named = tuple(field for field in wanted if any(map(getter(field), looked)))
        of_downloader = any(name in record for record in looked for name in _OF_DOWNLOADERS)
        spoken = template in heard
        workflow = next((fields for record in looked if (fields := fields_of_workflow(record))), ())
        fields = named if wanted else () if of_downloader or spoken or workflow else caption_fields(looked)
        if not fields:
            prose = tuple(dict.fromkeys(field for record in looked for field in fields_of_prose(record)))
            prose = tuple(name for name in ("title", "description") if of_downloader and name in looked[0]) or prose
            prose = ("text",) if spoken else workflow or prose
            found.others |= dict.fromkeys(names, prose) if prose else {}
            found.beside |= {name: _holds_texts(survey, name) for name in names if not prose}
            continue
        if spans := spans_of_records(survey, zip(looked, names.values(), strict=False), fields):
            parts[template] = part_file(template, fields, spans, None)
            continue
        found.beside |= dict.fromkeys(names, True)
        found.files.append(CaptionFile(file=template, fields=fields))
        found.notes.append(f"captions are {', '.join(fields)} of {template}")
        deeper = dict.fromkeys(name for record in looked for name in captions_in_lists(record))
        if deeper and not wanted:
            found.deeper.update(dict.fromkeys(names, f"{', '.join(deeper)} beside {', '.join(fields)}"))
        found.owners |= names
    for template, names in others:
        _add_parts(found, names, parts[template], chosen=bool(wanted))
    if found.files:
        found.reports = [name for name in survey.tables if name not in found.beside and _is_report(survey, name)]
    return found


def _add_texts(found: Sidecars, survey: Survey, texts: Mapping[str, dict[str, str]]) -> None:
    """Add what texts say of the files that they are beside."""
    for template, names in sorted(texts.items()):
        if any(are_settings(text_in(survey, name)) for name in islice(names, _LOOKED_AT)):
            found.settings += names
            for name in names:
                del found.beside[name]
            continue
        if all(_is_spoken(survey, name) for name in islice(names, _LOOKED_AT)):
            found.subtitles += names
            for name in names:
                del found.beside[name]
            continue
        found.files.append(CaptionFile(file=template))
        found.owners |= names
        if template.startswith(OF_FOLDER):
            shared = sum(len(survey.by_folder[name.rpartition("/")[0]]) > 1 for name in names)
            more = f", of {shared} folders with several files, which share it" if shared else ""
            found.notes.append(f"captions are {template.removeprefix(OF_FOLDER)} in the folder of each file{more}")
        if several := _with_several_lines(survey, names):
            said = "have several lines; all lines of a text are one caption"
            found.notes.append(f"{template}: {several} {said}")


def _are_spoken(survey: Survey, names: Iterable[str]) -> bool:
    """Whether some of the first JSON files are of what was heard."""
    return any(are_spoken(record_in(survey, name)) for name in islice(names, _LOOKED_AT))


def _has_captions_of_the_whole(
    survey: Survey, template: str, names: Iterable[str], parts: CaptionFile | str | None
) -> bool:
    """Whether JSON files that list parts have captions of the whole files too."""
    if not template.lower().endswith(".json") or (isinstance(parts, CaptionFile) and parts.records is None):
        return False
    return bool(caption_fields(record_in(survey, name) for name in islice(names, _LOOKED_AT)))


def _add_parts(found: Sidecars, names: dict[str, str], parts: CaptionFile | str | None, *, chosen: bool) -> None:
    """Add what tables say of the parts of their files. Captions of whole files come first, unless the user has chosen
    the columns."""
    if parts is None:
        return
    whole = [name for file in found.files if file.spans is None for name in (file.fields or (file.file,))]
    if isinstance(parts, CaptionFile) and whole and not chosen:
        cause = f"{', '.join(parts.fields)} of parts, beside captions of the whole files ({whole[0]})"
        parts = f"{cause}: --caption-column reads the parts"
    if isinstance(parts, str):
        found.unread |= dict.fromkeys(names, parts)
        return
    found.beside |= dict.fromkeys(names, True)
    found.files.append(parts)
    found.notes.append(f"captions are {', '.join(parts.fields)} of the parts that {parts.file} lists")
    found.notes.append(f"spans from {' and '.join(parts.spans or ())}")
    found.owners |= names


def _is_spoken(survey: Survey, name: str) -> bool:
    """Whether a text is subtitles, or has the words of those that are beside it."""
    text, stem = text_in(survey, name), name.rpartition(".")[0]
    beside = [other for end in (".srt", ".vtt") if (other := f"{stem}{end}") in survey.foreign]
    return are_subtitles(text) or any(are_words_of(text, text_in(survey, other)) for other in beside)


def _is_report(survey: Survey, table: str) -> bool:
    """Whether a table is what img2dataset and video2dataset write beside the folder of a shard."""
    folder = table.rpartition(".")[0]
    if not table.endswith(".parquet") or not any(name.startswith(f"{folder}/") for name in survey.media):
        return False
    return {"key", "status", "url"} <= set(peek(survey.folder, table).columns)


def _templates(survey: Survey, candidates: Iterable[str], sidecars: Sidecars) -> dict[str, dict[str, str]]:
    """Templates that find candidates, each with the candidates and the media file of each; those that are not used,
    since files of several folders have their names, are added to ``shared``."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in sorted(survey.media, key=lambda name: folder_of_companions(name.rpartition("/")[0]) is None):
        last = name.rpartition("/")[2]
        by_stem[folded(last.rpartition(".")[0])].append(name)
        by_stem[folded(last)].append(name)  # a.mp4.txt
    found: dict[str, dict[str, str]] = defaultdict(dict)
    candidates = [*candidates]
    for name in candidates:
        path = PurePosixPath(name)
        stem, sign, middle = _in_two(path.stem)
        for media in by_stem.get(folded(path.stem), ()):
            for template in _ways(name, path.suffix, media):
                found[template][name] = media
        # a.info.json, a.en.txt, a.zh-CN.txt, a.2.txt, a_caption.txt
        if _MIDDLE.fullmatch(middle) and folded(path.stem) not in by_stem:
            for media in by_stem.get(folded(stem), ()):
                for template in _ways(name, f"{sign}{middle}{path.suffix}", media):
                    found[template][name] = media
    known = {name for names in found.values() for name in names}
    captioned = {media for names in found.values() for media in names.values()}
    for template, names in of_folders(
        survey, (name for name in candidates if name not in known), captioned, sidecars.unread
    ):
        found[template] |= names
    left = _without_repetition(found)
    for template in [template for template in left if "{stem}" in template or "{rest}" in template]:
        several, apart = of_several(template, left[template], survey.media)
        others = [media for other, names in left.items() if other != template for media in names.values()]
        if several or any(glob_expression(glob).fullmatch(name) for glob in apart for name in others):
            sidecars.shared |= several or {*left[template]}
            del left[template]
        else:
            sidecars.apart |= apart
    return left


def _in_two(stem: str) -> tuple[str, str, str]:
    """A name in two at its last dot, or before what says that it is of captions: ``a.en``, ``a_caption``."""
    found = _AND_ITS_CAPTION.fullmatch(stem)
    return (found[1], found[2], found[3]) if found and not _LANGUAGE.search(found[1]) else stem.rpartition(".")


def _ways(name: str, suffix: str, media: str) -> Iterator[str]:
    """Templates by which a media file's name gives that of a candidate, the plainest first."""
    for template in (f"{{path}}{suffix}", f"{{name}}{suffix}"):
        if folded(filled(template, media)) == folded(name):
            yield template
            return
    folder = name.split("/")
    for end in (suffix, f"{{suffix}}{suffix}"):  # metas/a.txt, metas/a.mp4.txt
        ways = [f"{'/'.join(folder[:depth])}/{{path}}{end}" for depth in range(1, len(folder))]
        if "/" in media:
            ways += [f"{'/'.join(folder[:depth])}/{{rest}}{end}" for depth in range(1, len(folder))]
        ways += [f"{'/'.join(folder[:-1])}/{{stem}}{end}"] if len(folder) > 1 else []
        if found := next((way for way in ways if folded(filled(way, media)) == folded(name)), None):
            yield found
            return


def _without_repetition(found: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Each candidate under the template that finds the most."""
    left: dict[str, dict[str, str]] = {}
    taken: set[str] = set()
    for template, names in sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0][:1] != "{", entry[0])):
        fresh = {name: media for name, media in names.items() if name not in taken}
        if fresh:
            left[template] = fresh
            taken |= fresh.keys()
    return left


def _with_several_lines(survey: Survey, names: Iterable[str]) -> str:
    """``3 of 32``: how many of the first texts have more than a line; empty for none."""
    looked = list(islice(names, _LOOKED_AT))
    several = sum(len(text_in(survey, name).strip().splitlines()) > 1 for name in looked)
    return f"{several} of {len(looked)}" if several else ""


def _holds_texts(survey: Survey, name: str) -> bool:
    """Whether a JSON file is a text, or a list with some, or has texts under the names of captions somewhere inside."""
    try:
        content = json.loads(text_in(survey, name))
    except (ValueError, RecursionError):
        return False
    parts = content if isinstance(content, list) else [content]
    return any(isinstance(part, str) for part in parts) or any(texts_inside(content))
