"""The options of ``walt takedown``; the work is in ``take_down.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.errors import ConfigurationError

_BITS = 8


def command(
    source: Annotated[list[str] | None, typer.Argument(help="Files, names in the dataset, URLs or SHA-256s.")] = None,
    reason: Annotated[str, typer.Option(help="Why: kept in the record.")] = "",
    list_: Annotated[Path | None, typer.Option("--list", help="A file with one such source a line.")] = None,
    bits: Annotated[int, typer.Option(min=0, max=16, help="Of a frame's 64 bits, how many may differ.")] = _BITS,
    same_bytes: Annotated[bool, typer.Option("--same-bytes", help="Refuse no copies that only look alike.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")] = False,
    delete_source: Annotated[bool, typer.Option("--delete-source", help="Remove the source files, too.")] = False,
) -> None:
    """Take sources down: their clips, latents, text and copies are removed, and they are refused from now on."""
    given = [*(source or []), *([] if list_ is None else _lines(list_))]
    if not given:
        raise ConfigurationError("say which source: a file, a name in the dataset, a URL, a SHA-256, or --list FILE")
    if not reason.strip():
        raise ConfigurationError("--reason is missing: it is kept in the record")
    from walt.commands.takedown.take_down import Request, run  # imports torch and MLflow, which --help does not need

    run(Request(tuple(given), reason, None if same_bytes else bits, dry_run, delete_source), Path.cwd())


def _lines(path: Path) -> list[str]:
    """The lines of a list, without empty ones. Raises ConfigurationError."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
