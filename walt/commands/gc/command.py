"""``walt gc``: caches, checkpoints and files of deleted runs that nothing refers to any more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import info


def command(
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed; without it nothing is removed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only, which is what happens without --yes.")] = False,
    caches: Annotated[
        bool, typer.Option(help="Also what only saves time: cut clips, features of real clips, fetched models.")
    ] = False,
    checkpoints: Annotated[
        bool, typer.Option(help="Also the last checkpoints of finished trainings, from which one can be made longer.")
    ] = False,
) -> None:
    """List what nothing refers to any more, by kind, with bytes and why; with --yes remove it."""
    from walt.commands.gc.collect import Wanted, collect, lines, remove  # imports MLflow, which --help does not need
    from walt.core.errors import ConfigurationError

    if yes and dry_run:
        raise ConfigurationError("--yes and --dry-run exclude each other")
    root, wanted = Path.cwd(), Wanted(caches, checkpoints)
    found = remove(root, wanted) if yes else collect(root, wanted)
    for line in lines(found, root, removed=yes):
        info(line)
