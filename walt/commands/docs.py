"""``walt docs``: the pages of the documentation, which an installed package has beside its code."""

from __future__ import annotations

import posixpath
import pydoc
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from walt.core.errors import ConfigurationError
from walt.core.log import console
from walt.core.suggestions import did_you_mean
from walt.project.new_folder import shipped_files

_PLACES = ("README.md", "docs/*.md", "datasets/*.md", "infra/README.md", "docs/results/*.md", "docs/decisions/*.md")
"""In the order in which they are listed."""
_FOLDERS = ("", "docs/", "infra/")
"""Where a page is looked for that is named without its folder: of two with one name the first is meant."""

_WIDTH = 32
"""Of the names' column; those of decisions, which say what was decided, reach beyond it."""


def command(
    page: Annotated[
        str | None, typer.Argument(help="As it is named: training, docs/training.md, datasets/union.md.")
    ] = None,
) -> None:
    """Show a page of the documentation; without one, list them all."""
    found = pages()
    if page is not None:
        pydoc.pager(find(page, found).read_text(encoding="utf-8"))
        return
    for name, file in found.items():
        heading = re.search(r"^# (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        console.print(f"{name:<{_WIDTH}} {escape(heading[1]) if heading else ''}".rstrip())


def pages() -> dict[str, Path]:
    """Each page's place in the repository, and the file; in the order in which they are listed."""
    root = shipped_files()
    found = [file for pattern in _PLACES for file in sorted(root.glob(pattern))]
    return {file.relative_to(root).as_posix(): file for file in found}


def find(page: str, found: dict[str, Path]) -> Path:
    """The file that a name means.

    Args:
        page: its place, as a text or a link names it (``../docs/training.md``, ``docs/training.md#rescues``), or
            shorter: ``training``.
        found: what ``pages`` gives.

    Raises:
        ConfigurationError: there is no such page.
    """
    name = posixpath.normpath(page.partition("#")[0] or ".")
    while name.startswith("../"):
        name = name.removeprefix("../")
    name = name.removesuffix(".md")
    for folder in _FOLDERS:
        if (place := f"{folder}{name}.md") in found:
            return found[place]
    names = {known.removesuffix(".md") for known in found}
    short = {known.removeprefix("docs/") for known in names}
    said = did_you_mean(name, sorted(names | short), "`walt docs` lists all")
    raise ConfigurationError(f"no page is called '{page}'{said}")
