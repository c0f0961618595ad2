"""``walt rollback``: the alias goes back to the release that had it before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import info
from walt.project.runner import load_params


def command(
    reason: Annotated[str, typer.Option(help="Why; kept with the version that loses the alias.")],
) -> None:
    """Give the alias back to the release that had it before, for all its models.

    `walt promote` then refuses the release that lost it. Files of the project stay as they are: `walt release` fetches
    what a release was made of.
    """
    from walt.tracking.rollback import roll_back  # imports MLflow, which --help does not need

    root = Path.cwd()
    params = load_params(root)
    info(roll_back(params.tracking, params.promotion.alias, root, reason))
