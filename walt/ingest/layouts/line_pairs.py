"""Recognises texts that name a file per line, with texts of a caption per line beside them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from walt.core.errors import ConfigurationError
from walt.ingest.layouts.paths_of_tables import find_paths, not_in_one_folder
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.sources.kinds import LineFiles
from walt.ingest.sources.line_files import read_lines

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

    def source(self, unlisted: str) -> LineFiles:
        """The section of the descriptor."""
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
