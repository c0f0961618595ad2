"""Recognises texts that name a file per line, with texts of a caption per line beside them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace

from walt.core.errors import ConfigurationError
from walt.ingest.layouts.paths_of_tables import find_paths, not_in_one_folder
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.sources.kinds import LineFiles
from walt.ingest.sources.line_files import read_lines
from walt.media.kinds import kind_of

_PATHS = ("videos.txt", "video.txt", "images.txt", "image.txt", "paths.txt")
_CAPTIONS = ("prompts.txt", "prompt.txt", "captions.txt", "caption.txt", "texts.txt")
_LOOKED_AT = 64
_PATH = "path"


@dataclass
class LinePair:
    """A text of paths, the texts of captions beside it, and where its paths begin."""

    paths: str
    captions: tuple[str, ...]
    videos: str
    prefix: str | Mapping[str, str]
    """The beginning of its paths that is cut off."""
    first_frames: str | None = None
    """A text of as many pictures with the same captions beside it, which are not read."""
    whole: bool = False
    """Whether it and ``first_frames`` name all files that are there."""

    @property
    def texts(self) -> set[str]:
        """All texts that it speaks of."""
        return {self.paths, *self.captions, *filter(None, [self.first_frames])}

    @property
    def notes(self) -> list[str]:
        """Lines about it."""
        notes = [f"{self.paths}, line by line with its captions"]
        if self.first_frames:
            said = f"a picture for each video, as if of its first frame: not read (--captions {self.first_frames})"
            notes.append(f"{self.first_frames}: {said}")
        return notes

    def source(self) -> LineFiles:
        """The section of the descriptor; files that no line names are inputs too, unless their lines are not read."""
        unlisted = "ignore" if self.whole else "take"
        return LineFiles.model_validate(
            {
                "kind": "lines", "paths": self.paths, "captions": self.captions, "videos": self.videos,
                "prefix": self.prefix, "unlisted": unlisted, "absent": "refuse",
            },
            strict=False,
        )  # fmt: skip


def recognise_lines(survey: Survey) -> list[LinePair]:
    """The pairs in a folder. Raises ConfigurationError: the texts of a pair differ in their number of lines."""
    pairs = []
    names = set(survey.texts)
    for text in survey.texts:
        folder, last = posixpath.split(text)
        beside = tuple(name for other in _CAPTIONS if (name := posixpath.join(folder, other)) in names)
        if last not in _PATHS or not beside:
            continue
        lines = read_lines(survey.folder, text)
        for name in beside:
            found = len(read_lines(survey.folder, name))
            if found != len(lines):
                said = f"{survey.folder.location(text)} has {len(lines)} lines, {survey.folder.location(name)} {found}"
                raise ConfigurationError(f"{said}: they must have the same number, a caption for each path")
        looked = [{_PATH: line} for line in lines[:_LOOKED_AT]]
        seen = Peek(text, (_PATH,), [record for record in looked if record[_PATH].strip()])
        found_by = find_paths(survey, seen, _PATH)
        if found_by and found_by.hits and not found_by.suffixes and not not_in_one_folder(survey, found_by, seen):
            base = folder if found_by.relative_to == "table" else ""
            pairs.append(LinePair(text, beside, posixpath.join(base, found_by.videos).rstrip("/"), found_by.prefix))
    return pairs


def chosen_pair(survey: Survey, name: str | None) -> LinePair | None:
    """The pair that the user means by one of its texts; None: it is of none, or of several."""
    if name is None or name not in survey.texts:
        return None
    pairs = recognise_lines(survey)
    left = without_first_frames(survey, pairs)
    found = [pair for pair in left if name in (pair.paths, *pair.captions)]
    if not found:
        found = [replace(pair, whole=left[0].whole) for pair in pairs if pair.paths == name]
    return found[0] if len(found) == 1 else None


def without_first_frames(survey: Survey, pairs: list[LinePair]) -> list[LinePair]:
    """A pair of videos alone, where the only other is of as many pictures with the same captions: trainers for videos
    that begin with a picture have them (``images.txt``)."""
    if len(pairs) != 2 or pairs[0].captions != pairs[1].captions:
        return pairs
    kinds = [_kinds(survey, pair) for pair in pairs]
    if kinds not in ([{"image"}, {"video"}], [{"video"}, {"image"}]):
        return pairs
    videos, pictures = pairs if kinds[0] == {"video"} else pairs[::-1]
    named = {name for pair in pairs for name in _files(survey, pair)}
    return [replace(videos, first_frames=pictures.paths, whole=named >= set(survey.media))]


def _kinds(survey: Survey, pair: LinePair) -> set[str]:
    return {kind_of(name) for name in _files(survey, pair)}


def _files(survey: Survey, pair: LinePair) -> set[str]:
    """The files that a pair's lines name."""
    records = [{_PATH: line} for line in read_lines(survey.folder, pair.paths) if line.strip()]
    found = find_paths(survey, Peek(pair.paths, (_PATH,), list(records)), _PATH)
    return set(found.found.values()) if found else set()
