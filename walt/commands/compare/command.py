"""The options of ``walt compare``; the work is in ``comparison.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="Two or more, each walt-base@champion, walt-base/3, a release or a folder."
        ),
    ],
    prompt: Annotated[
        list[str] | None, typer.Option(help="What is to be shown. Repeatable; by default the first of params.yaml.")
    ] = None,
    videos: Annotated[int, typer.Option(min=1, help="How many prompts of params.yaml, where none is given.")] = 4,
    seed: Annotated[int | None, typer.Option(min=0, help="By default that of params.yaml.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Sampling steps.")] = None,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("results/compare.html"),
) -> None:
    """The same prompts and seeds by several models, side by side, with their figures and the settings that differ.

    One HTML page, which is also a file of a run in MLflow.
    """
    from walt.commands.compare.comparison import Request, run  # imports torch, which --help does not need

    run(Request(tuple(models), tuple(prompt or ()), videos, seed, steps, out), Path.cwd())
