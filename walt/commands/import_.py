"""``walt import``: models that ``walt export model`` wrote, back into a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    source: Annotated[
        str, typer.Argument(metavar="DIR|OWNER/NAME", help="A folder, or a name on the Hub or where HF_ENDPOINT says.")
    ],
    replace: Annotated[bool, typer.Option("--replace", help="Also where models/ holds other models.")] = False,
) -> None:
    """Take models that `walt export model` wrote into models/, and register them as versions.

    Every file is compared with walt.json first. No code of the folder is run, and no pickle is read.
    """
    from walt.hub.project_models import import_model  # imports torch, which --help does not need

    import_model(Path.cwd(), source, replace=replace)
