"""The options of ``walt describe``; the work is in ``model_sizes.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.core.log import console
from walt.project.params import Params
from walt.project.recipes import load_recipe
from walt.project.runner import IF_MISSING, PARAMS_FILE


def command(
    recipe: Annotated[str | None, typer.Option(help="A recipe: a name in walt/recipes.")] = None,
    params: Annotated[Path | None, typer.Option(help="A parameter file; by default params.yaml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with plain numbers.")] = False,
) -> None:
    """Show every model's size by part, and what a sample costs: FLOPs, tokens, activation memory. Computes nothing."""
    from walt.commands.describe.model_sizes import describe, tables  # imports torch, which --help does not need

    if recipe is not None and params is not None:
        raise ConfigurationError("--recipe and --params both say what to describe; give one")
    file = params or Path(PARAMS_FILE)
    described = load_recipe(recipe) if recipe is not None else load_section(file, Params, IF_MISSING)
    document = describe(described, recipe or str(file), Path.cwd())
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for table in tables(document):
        console.print(table)
