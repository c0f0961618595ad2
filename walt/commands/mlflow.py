"""``walt mlflow``: MLflow's page for this project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.project.runner import load_params


def command(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000) -> None:
    """Show runs, metrics, sample videos and model versions in MLflow's page, until Ctrl-C."""
    from walt.tracking.page import show_page  # MLflow takes seconds to import, and --help does not need it

    root = Path.cwd()
    show_page(load_params(root).tracking, root, port)
