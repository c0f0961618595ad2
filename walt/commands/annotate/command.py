"""``walt annotate``: a step of the user's own, or a table, adds columns to the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import info


def command(
    what: Annotated[
        str,
        typer.Argument(help="MODULE:FUNCTION, called with each clip's frames and row; or FILE.parquet, a table."),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the table in datasets/annotations; by default the function's or file's.")
    ] = None,
) -> None:
    """Add columns of your own to the clips: numbers to filter by, or texts."""
    # torch takes seconds to import, and --help does not need it
    from walt.commands.annotate.annotate import by_function, by_table

    root = Path.cwd()
    table = by_table(root, Path(what), name) if what.endswith(".parquet") else by_function(root, what, name)
    info(f"{table}; next: `walt ingest` (or `dvc repro`) puts the columns into the manifest, without decoding anything")
