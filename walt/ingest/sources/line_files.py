"""A text with a path or URL per line, and texts with a caption per line, such as ``videos.txt`` and ``prompts.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from walt.core.errors import ConfigurationError
from walt.data.captions import Caption
from walt.ingest.sources.caption_files import text_of
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Again, Entry, Item, Refusal, spellings
from walt.ingest.sources.kinds import LineFiles
from walt.ingest.sources.rows import Found, Later, RowFiles
from walt.ingest.tables.cells import Row


def entries(source: LineFiles, dataset: Dataset) -> Iterator[Entry]:
    """List the lines; an empty line of captions is a line without a caption.

    Refusals: those of ``RowFiles.find`` and of ``Rules.item``.

    Raises:
        ConfigurationError: a file is missing, or they differ in their number of lines.
    """
    folder = dataset.folder
    paths = read_lines(folder, source.paths)
    captions = {name: read_lines(folder, name) for name in source.captions}
    for name, lines in captions.items():
        if len(lines) != len(paths):
            said = f"{folder.location(source.paths)} has {len(paths)} lines, {folder.location(name)} {len(lines)}"
            raise ConfigurationError(f"{said}: they must have the same number, a caption for each path")
    files = RowFiles(folder, source.videos, source.absent, prefix=source.prefix, repeats=True)
    later: list[int] = []
    for number in chain(range(len(paths)), _behind(files, later)):
        row = Row(source.paths, number + 1, ())
        found = files.find_or_wait(row, spellings(paths[number].strip()))
        if isinstance(found, Later):
            later.append(number)
            continue
        if not isinstance(found, Found):
            if found:
                yield found
            continue
        texts = [Caption(_kind(name), lines[number]) for name, lines in captions.items()]
        entry = dataset.rules.item(found.source, found.location, texts, name=found.name)
        if not found.earlier:
            yield entry
        elif isinstance(entry, Item):
            yield Again(entry, found.earlier)
        else:
            yield Refusal(entry.source, "duplicate_row", found.earlier)
    files.report()
    if source.unlisted == "take":
        for name in files.unnamed(folder.names()):
            yield dataset.rules.item(name, folder.location(name), "")


def _behind(files: RowFiles, later: list[int]) -> Iterator[int]:
    """The lines that could not be decided before all others were known."""
    files.settle()
    yield from later


def read_lines(folder: Folder, name: str) -> list[str]:
    """The lines of a text without their endings; empty lines at its end are left out. Raises ConfigurationError."""
    if not folder.has(name):
        raise ConfigurationError(f"{folder.location(name)}: no such file (the dataset's descriptor names it)")
    with folder.open(name) as stream:
        text = text_of(stream.read())
    lines = [line.removesuffix("\r") for line in text.split("\n" if "\n" in text else "\r")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _kind(name: str) -> str:
    """``prompts.txt`` -> ``prompts``."""
    return name.rpartition("/")[2].rpartition(".")[0]
