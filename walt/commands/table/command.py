"""The options of ``walt table``; the work is in ``grid.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from walt.core.errors import ConfigurationError
from walt.core.log import console
from walt.project.dvc_yaml import NO_PIPELINE, PIPELINE_FILE


def command(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A table of the paper, such as 3b.")] = None,
    scale: Annotated[
        Literal["demo", "paper"], typer.Option(help="Small models on a processor, or the paper's own.")
    ] = "paper",
    seeds: Annotated[str, typer.Option(help="A whole table is made with each.")] = "0,1,2",
    list_tables: Annotated[bool, typer.Option("--list", help="Which tables there are, and what each costs.")] = False,
) -> None:
    """Make a table of the paper: a grid of runs, with the paper's values beside ours, as a page and as Markdown.

    Runs that have ended are not run again, and stages that runs share are run once; a table that was stopped goes on.
    """
    if list_tables:
        show_list()
        return
    if name is None:
        raise ConfigurationError("which table? `walt table --list` shows them")
    if not Path(PIPELINE_FILE).is_file():
        raise ConfigurationError(NO_PIPELINE)
    from walt.commands.table.grid import run  # imports torch, which --help does not need

    run(name, scale, seeds_of(seeds), Path.cwd())


def show_list() -> None:
    """Print a row for each table."""
    from walt.commands.table.table_file import RowScale, load_table, table_names

    shown = Table(title="walt table NAME --scale demo, or --scale paper", title_justify="left")
    tables = {name: load_table(name) for name in table_names()}
    longest = max(len(word) for table in tables.values() for word in table.title.split())
    for column in ("table", "what", "rows of demo / paper", "demo, three seeds", "paper, one seed"):
        shown.add_column(column, min_width=longest if column == "what" else None)  # no word is cut
    for name, table in tables.items():
        rows, costs = [], []
        for scale in ("demo", "paper"):
            there = scale in table.scales
            taken = sum(row.at.get(scale, RowScale()).left_out is None for row in table.rows)
            rows.append(str(taken) if there else "-")
            costs.append(table.scales[scale].cost if there else "not at this scale")
        shown.add_row(name, table.title, " / ".join(rows), *costs)
    console.print(shown)


def seeds_of(text: str) -> tuple[int, ...]:
    """``0,1,2`` as numbers, each once. Raises ConfigurationError."""
    found = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in found) or len(set(found)) < len(found):
        raise ConfigurationError(f"--seeds: '{text}' is not a list of different whole numbers such as 0,1,2")
    return tuple(int(part) for part in found)
