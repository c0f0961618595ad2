"""``walt status``: what is stale, what runs, which release has the alias, when the next run is due, what takes disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import info


def command(
    api: Annotated[
        str, typer.Option(envvar="PREFECT_API_URL", help="Of the Prefect server that is asked for the next run.")
    ] = "http://127.0.0.1:4200/api",
) -> None:
    """Show on one screen what is stale, what runs, the release with the alias, the next run, and disk by kind."""
    from walt.commands.status.screen import screen  # imports MLflow, which --help does not need

    for line in screen(Path.cwd(), api):
        info(line)
