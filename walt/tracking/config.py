"""Sections ``tracking`` and ``promotion``: where runs and model versions go. They change nothing that a stage makes."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat

from walt.core.config import Section


class TrackingConfig(Section):
    """The ``tracking`` section."""

    uri: str
    """MLflow's tracking URI; ``sqlite:///mlflow.db`` needs no server."""
    experiment: str
    model_prefix: str
    """Registered models are called ``<prefix>-base``, ``<prefix>-sr-2x``."""
    system_metrics: bool


class PromotionConfig(Section):
    """The ``promotion`` section: the rule by which a new model version takes the alias."""

    alias: str
    metric: str
    """A key of ``results/evaluation.json``'s metrics that does not depend on the autoencoder's latent space."""
    better: Literal["higher", "lower"]
    margin: NonNegativeFloat
    """The new value must be better by more than this."""
