"""``walt promote``: the alias of the registered models, moved to the newest where it is better."""

from __future__ import annotations

from pathlib import Path

from walt.core.log import info
from walt.project.runner import load_params


def command() -> None:
    """Give the alias to the newest base model, if it is better by the rule in params.yaml's promotion section."""
    from walt.tracking.models import promote_newest  # MLflow takes seconds to import, and --help does not need it

    root = Path.cwd()
    params = load_params(root)
    info(promote_newest(params.tracking, params.promotion, root))
