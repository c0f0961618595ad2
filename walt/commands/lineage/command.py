"""The options of ``walt lineage``; the work is in ``of_model.py`` and ``of_source.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.errors import ConfigurationError


def command(
    model: Annotated[str | None, typer.Argument(help="base, base@champion, walt-base/3, or a model's folder.")] = None,
    source: Annotated[str | None, typer.Option(help="A file, its name in the dataset, or its SHA-256.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Show what a model version was made of, down to the source files; or with --source all that holds a source."""
    if (model is None) == (source is None):
        raise ConfigurationError("say which model, or with --source which source: `walt lineage base@champion`")
    from walt.commands.lineage.show import show_model, show_source  # imports MLflow, which --help does not need

    if source is None:
        assert model is not None
        show_model(model, Path.cwd(), json)
    else:
        show_source(source, Path.cwd(), json)
