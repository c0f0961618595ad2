"""The last decision about a project's models, as MLflow has it: what was compared with what, and where it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from walt.core.figures import Difference, Figure
from walt.core.paths import Paths
from walt.tracking import server
from walt.tracking.config import TrackingConfig
from walt.tracking.models import DECISION_TAG
from walt.tracking.release_runs import MODELS_TAG, find_release, models_digest
from walt.tracking.releases import release_digests, release_folders, tag_mapping


@dataclass(frozen=True)
class Decided:
    """A decision about a version of the base model."""

    name: str
    """Full name of the model."""
    version: str
    registered: str
    """The day of its registration, in UTC."""
    becomes: str | None
    """The alias that it took; None where it took none."""
    reason: str
    against: str | None
    """The version that had the alias; None where nothing had."""
    new: Mapping[str, Figure]
    old: Mapping[str, Figure]
    differences: Mapping[str, Difference]
    versions: Mapping[str, str]
    """Full name of each model of the release -> its version."""
    training_run: str | None
    """The id of the base model's training run in MLflow."""
    release_run: str | None
    """That of the release's run."""


def last_decision(config: TrackingConfig, root: Path) -> Decided | None:
    """Of the models in the project's folders; None where nothing was decided about them.

    Raises:
        StorageError: MLflow cannot be reached.
    """
    digests = release_digests(release_folders(Paths(root)))
    with server.errors():
        connection = server.connect(config, root)
        prefix, found = connection.model_prefix, {}
        for short, digest in digests.items():
            number = server.find_version(connection, f"{prefix}-{short}", digest)
            if number is not None:
                found[f"{prefix}-{short}"] = number
        name = f"{prefix}-{next(iter(digests))}"
        if name not in found:
            return None
        version = connection.client.get_model_version(name, found[name])
        release = find_release(connection, MODELS_TAG, models_digest(digests))
    kept = tag_mapping(version.tags.get(DECISION_TAG))
    if "becomes" not in kept:
        return None
    return Decided(
        name=name,
        version=found[name],
        registered=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).date().isoformat(),
        becomes=kept["becomes"],
        reason=kept["reason"],
        against=kept["against"],
        new={metric: _figure(value) for metric, value in kept["new"].items()},
        old={metric: _figure(value) for metric, value in kept["old"].items()},
        differences={metric: Difference(**value) for metric, value in kept["differences"].items()},
        versions=found,
        training_run=version.run_id or None,
        release_run=release.run_id if release else None,
    )


def _figure(value: Mapping[str, Any]) -> Figure:
    """A figure that was kept without its replicates."""
    return Figure.from_json({**value, "replicates": ()})
