"""``walt pipeline``: ``dvc.yaml``, made from the registry of stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import info
from walt.project import dvc_yaml


def command(
    write: Annotated[bool, typer.Option("--write", help="Bring dvc.yaml up to date instead of printing it.")] = False,
) -> None:
    """Print dvc.yaml as it follows from the registry, or write it."""
    if not write:
        print(dvc_yaml.render(Path.cwd()), end="")
    elif dvc_yaml.write(Path.cwd()):
        info("dvc.yaml was brought up to date")
