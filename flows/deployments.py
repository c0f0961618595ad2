"""The deployments of the flow ``walt``, as plain data: served by ``flows.serve``, and written out in ``prefect.yaml``.

``prefect deployment run walt/<name>`` starts one. A test holds ``prefect.yaml`` equal to this table.
"""

from __future__ import annotations

from dataclasses import dataclass

ENTRYPOINT = "flows.pipeline.walt"
"""Dotted: one given as a path would put ``flows/`` on the import path, where ``walt.py`` hides the package."""


@dataclass(frozen=True)
class DeploymentSpec:
    """One deployment: which stage it brings up to date, and when."""

    name: str
    description: str
    target: str
    promote: bool = False
    cron: str | None = None
    """In UTC; None: only on request."""


DEPLOYMENTS: tuple[DeploymentSpec, ...] = (
    DeploymentSpec("ingest", "Videos and captions to clips, a manifest and a rejects table.", "ingest"),
    DeploymentSpec("train-base", "The base transformer and everything it needs.", "train-base"),
    DeploymentSpec(
        "finetune-aspect", "The base transformer at another shape, and everything it needs.", "finetune-aspect"
    ),
    DeploymentSpec("train-sr-2x", "The first super-resolution transformer and everything it needs.", "train-sr-2x"),
    DeploymentSpec("train-sr-4x", "The second super-resolution transformer and everything it needs.", "train-sr-4x"),
    DeploymentSpec("evaluate", "Samples and their figures, and everything they need.", "evaluate"),
    DeploymentSpec("all", "Everything, to the report.", "report"),
    DeploymentSpec(
        "retrain",
        "On a schedule: take in new, changed and removed source files, remake what they make stale, evaluate, and move "
        "the model alias if the new model is better. Does nothing, quickly, when nothing changed.",
        "report",
        promote=True,
        cron="0 3 * * *",
    ),
)
