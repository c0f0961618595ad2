"""``walt retrain``: what the scheduled retraining does before and after the stages run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import info


def command(
    end: Annotated[
        bool, typer.Option("--end", help="After `walt promote`: keep the settings, or put params.yaml back.")
    ] = False,
) -> None:
    """Count new clips by the rule in params.yaml's retrain section; if they are enough, write its settings there.

    The clips must be up to date: `walt prepare && dvc repro ingest`. What follows is `dvc repro`, `walt promote`, and
    `walt retrain --end`; the deployment retrain does all of it. Where that breaks off, the next call puts params.yaml
    back.
    """
    from walt.project import retraining  # imports MLflow, which --help does not need

    root = Path.cwd()
    info(retraining.end(root) if end else retraining.begin(root).said)
