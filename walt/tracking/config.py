"""Section ``tracking``: where runs and model versions go. It changes nothing that a stage makes."""

from __future__ import annotations

from walt.core.config import Section


class TrackingConfig(Section):
    """The ``tracking`` section."""

    uri: str
    """MLflow's tracking URI; ``sqlite:///mlflow.db`` needs no server."""
    experiment: str
    model_prefix: str
    """Registered models are called ``<prefix>-base``, ``<prefix>-sr-2x``."""
    system_metrics: bool
