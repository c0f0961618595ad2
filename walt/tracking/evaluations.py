"""Which ``results/evaluation.json`` a promotion believes: one that nobody edited, of the weights that are here.

A file has its own digest, which finds accidents. Whoever edits it may write a digest that fits: so MLflow is asked,
which has had the digest of each evaluation since it was made. Where it has any of these models, it must have this.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError
from walt.core.own_digest import read_json_with_digest
from walt.core.paths import Paths
from walt.tracking import server
from walt.tracking.config import TrackingConfig
from walt.tracking.release_runs import EVALUATED_TAG, EVALUATION_TAG, models_digest


def find_evaluation(root: Path) -> Path:
    """Raises ConfigurationError where there is no ``results/evaluation.json``."""
    place = Paths(root).evaluation
    if not place.exists():
        raise ConfigurationError(f"{place}: no such file; run `dvc repro` before `walt promote`")
    return place


def read_evaluation(config: TrackingConfig, root: Path) -> dict[str, Any]:
    """The content of ``results/evaluation.json``.

    Raises:
        ConfigurationError: there is none, an earlier version made it, or MLflow has others of these models and not it.
        CorruptArtifactError: it was edited since it was made.
        StorageError: MLflow cannot be reached.
    """
    place = find_evaluation(root)
    evaluation, has_digest = read_json_with_digest(place)
    if not has_digest:
        raise ConfigurationError(f"{place}: it has no digest: an earlier version made it; run `dvc repro`")
    with server.errors():
        connection = server.connect(config, root)
        known = _has(connection, EVALUATION_TAG, sha256_json(evaluation))
        if not known and _has(connection, EVALUATED_TAG, models_digest(evaluation.get("models") or {})):
            raise ConfigurationError(
                f"{place}: it is none of the evaluations of these models that MLflow has, so it was edited or is of "
                "elsewhere: run `walt evaluate` again"
            )
    return evaluation


def check_named(digests: Mapping[str, str], evaluation: Mapping[str, Any], folders: Mapping[str, Path]) -> None:
    """Raises ConfigurationError where the models are not the ones that were evaluated."""
    named = evaluation.get("models")
    if named is None:
        raise ConfigurationError("results/evaluation.json names no models: an earlier version made it; run `dvc repro`")
    for name in {**digests, **named}:
        if name not in digests:
            raise ConfigurationError(f"the evaluation is of a release with {name}, which is gone; run `dvc repro`")
        if named.get(name) != digests[name]:
            raise ConfigurationError(
                f"{folders[name]}: these are not the weights that were evaluated; run `dvc repro` before `walt promote`"
            )


def _has(connection: server.Connection, tag: str, value: str) -> bool:
    query = f"tags.`{tag}` = '{value}'"
    return bool(connection.client.search_runs([connection.experiment_id], query, max_results=1))
