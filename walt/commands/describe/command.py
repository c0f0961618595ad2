"""The options of ``walt describe``; the work is in ``model_sizes.py`` and ``stage_memory.py``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.core.log import console
from walt.project.params import Params
from walt.project.recipes import load_recipe
from walt.project.runner import IF_MISSING, PARAMS_FILE, load_params

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:G|GB|GiB)?", re.IGNORECASE)


def command(
    recipe: Annotated[str | None, typer.Option(help="A recipe: a name in walt/recipes.")] = None,
    params: Annotated[Path | None, typer.Option(help="A parameter file; by default params.yaml.")] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="Of a GPU, such as 80GB: show what each stage holds in memory, and what does not fit."),
    ] = None,
    host_memory: Annotated[str, typer.Option(help="With --memory: of the machine.")] = "128GB",
    devices: Annotated[int, typer.Option(min=1, help="With --memory: GPUs that a stage uses.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with plain numbers.")] = False,
) -> None:
    """Show every model's size by part, and what a sample costs: FLOPs, tokens, activation memory. Computes nothing.

    With --memory, show instead what each stage holds at its peak, by CUDA's rules.
    """
    if recipe is not None and params is not None:
        raise ConfigurationError("--recipe and --params both say what to describe; give one")
    if recipe is not None:
        described = load_recipe(recipe)
    else:
        described = load_params(Path()) if params is None else load_section(params, Params, IF_MISSING)
    name = recipe or str(params or PARAMS_FILE)
    if memory is not None:
        _show_memory(
            described, name, bytes_of(memory, "--memory"), bytes_of(host_memory, "--host-memory"), devices, as_json
        )
        return
    from walt.commands.describe.model_sizes import describe, tables  # imports torch, which --help does not need

    document = describe(described, name, Path.cwd())
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for table in tables(document):
        console.print(table)


def _show_memory(params: Params, name: str, device: int, host: int, devices: int, as_json: bool) -> None:
    from walt.commands.describe.memory_page import document, show  # imports torch
    from walt.commands.describe.stage_memory import Limits, plan_stages

    limits = Limits.of_machine(device, host)
    stages = list(plan_stages(params, Path.cwd(), devices, limits))
    if as_json:
        print(json.dumps(document(name, stages, limits, devices), indent=2))
    else:
        show(name, stages, limits, devices)


def bytes_of(text: str, option: str) -> int:
    """``80GB`` in bytes; a GB is 2^30 bytes, as on the labels of memory. Raises ConfigurationError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or float(found[1]) == 0:
        raise ConfigurationError(f"{option}: '{text}' is not a size such as 80GB")
    return int(float(found[1]) * 2**30)
