"""What a takedown that was stopped had to look for: the stages have left it out of the tables by then.

It is kept in ``work/takedown``, which no search looks into, from before the first file changes until nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from walt.commands.takedown.search import Needles
from walt.core.digests import sha256_json
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json

_NAME = "unfinished.json"


def known_sources(paths: Paths, given: str) -> list[str]:
    """SHA-256 of the sources that an unfinished takedown was given by this name, sorted; none where there is none."""
    return sorted({source for note in _notes(paths) for source in note["given"].get(given, [])})


def with_unfinished(paths: Paths, sources: Iterable[str], needles: Needles) -> Needles:
    """The needles, with those of unfinished takedowns of any of these sources."""
    found = [note["needles"] for note in _notes(paths) if set(sources) & set(note["needles"]["sources"])]
    own = {one.name: getattr(needles, one.name) for one in fields(Needles)}
    return Needles(**{name: values.union(*(note[name] for note in found)) for name, values in own.items()})


def begin(paths: Paths, given: Mapping[str, Sequence[str]], needles: Needles) -> None:
    """Keep what is looked for.

    Args:
        given: what a person named -> the SHA-256 of its sources.
    """
    plain = {name: sorted(values) for name, values in asdict(needles).items()}
    names = {name: sorted(sources) for name, sources in given.items()}
    write_json(_file(paths, needles.sources), {"given": names, "needles": plain})


def end(paths: Paths, sources: Iterable[str]) -> None:
    """All of these sources' takedowns are done."""
    gone = set(sources)
    for file in _files(paths):
        if set(read_json(file)["needles"]["sources"]) <= gone:
            file.unlink()


def _file(paths: Paths, sources: Iterable[str]) -> Path:
    return paths.work("takedown") / f"{sha256_json(sorted(sources))[:16]}-{_NAME}"


def _files(paths: Paths) -> list[Path]:
    return sorted(paths.work("takedown").glob(f"*-{_NAME}"))


def _notes(paths: Paths) -> list[dict[str, Any]]:
    return [read_json(file) for file in _files(paths)]
