"""The options of ``walt describe``; the work is in ``models.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.core.log import console
from walt.project.params import Params
from walt.project.recipes import recipe_path
from walt.project.runner import PARAMS_FILE


def command(
    recipe: Annotated[str | None, typer.Option(help="A recipe: a name in walt/recipes.")] = None,
    params: Annotated[Path | None, typer.Option(help="A parameter file; by default params.yaml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with plain numbers.")] = False,
) -> None:
    """Show every model's size by part, and what a sample costs: FLOPs, tokens, activation memory. Computes nothing."""
    from walt.commands.describe.models import describe, tables  # imports torch, which --help does not need

    if recipe is not None and params is not None:
        raise ConfigurationError("--recipe and --params both say what to describe; give one")
    file = recipe_path(recipe) if recipe is not None else params or Path(PARAMS_FILE)
    document = describe(load_section(file, Params), recipe or str(file), Path.cwd())
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for table in tables(document):
        console.print(table)
