"""The way back: the alias goes to the release that had it before, for all its models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.tracking import server
from walt.tracking.config import TrackingConfig
from walt.tracking.measured import recall_measured
from walt.tracking.models import aliased_release, digests_of
from walt.tracking.release_record import note_rolled_back, read_release, taken_down
from walt.tracking.releases import MODEL_ARTIFACTS

_BEGUN_TAG = "walt.rolling_back."
"""With the alias, on the deciding model while a rollback is under way: the release that gets it (JSON)."""


def roll_back(config: TrackingConfig, alias: str, root: Path, reason: str) -> str:
    """Give the alias back to the release that had it before the present one; returns a sentence.

    The reason is kept with the version that loses the alias, which ``walt promote`` then refuses. Doing it again goes
    one release further back, but the first one after a rollback that broke off finishes that.

    Raises:
        ConfigurationError: nothing has the alias, no release had it before, or one of its versions was deleted, or
            made with a source that was taken down since.
        StorageError: MLflow cannot be reached.
    """
    decider = next(iter(MODEL_ARTIFACTS))
    with server.errors():
        connection = server.connect(config, root)
        name = f"{connection.model_prefix}-{decider}"
        aliased = aliased_release(connection, alias)
        if decider not in aliased:
            raise ConfigurationError(f"no version of {name} is {alias}: there is nothing to roll back")
        version, client, begun = aliased[decider], connection.client, _BEGUN_TAG + alias
        if json.loads(client.get_registered_model(name).tags.get(begun, "null")) == aliased:
            client.delete_registered_model_tag(name, begun)  # it broke off when all was done but this
            return _said(name, aliased, alias, reason)
        present, previous = _present_and_previous(connection, name, aliased, alias)
        client.set_registered_model_tag(name, begun, json.dumps(previous))
        note = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "reason": reason, "to": dict(previous)}
        note_rolled_back(connection, name, version, present, note)
        if previous[decider] == version:  # else that version still says it
            recall_measured(connection, name, version, digests_of(connection, previous))
        for other in set(aliased) - set(previous):
            client.delete_registered_model_alias(f"{connection.model_prefix}-{other}", alias)
        moving = [other for other in previous if aliased.get(other) != previous[other]]
        for other in sorted(moving, key=lambda short: short == decider):  # the deciding one last
            client.set_registered_model_alias(f"{connection.model_prefix}-{other}", alias, previous[other])
        client.delete_registered_model_tag(name, begun)
    return _said(name, previous, alias, reason)


def _said(name: str, models: Mapping[str, str], alias: str, reason: str) -> str:
    (_, version), *others = models.items()
    named = ", ".join(f"{other} {number}" for other, number in others)
    return f"{name} version {version} is {alias} again, with {named or 'no other model'}: {reason}."


def _present_and_previous(
    connection: server.Connection, name: str, aliased: Mapping[str, str], alias: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The release that has the alias, and the one that had it before, all of whose versions are there."""
    version = next(iter(aliased.values()))
    release = read_release(connection, name, version, aliased)
    if release is None:
        raise ConfigurationError(
            f"{name} version {version}: what was {alias} before it was not noted, by an earlier version of walt"
        )
    if release.previous is None:
        raise ConfigurationError(f"{name} version {version} was the first {alias}: there is no release to go back to")
    for other, number in release.previous.items():
        full_name = f"{connection.model_prefix}-{other}"
        try:
            with server.errors():
                connection.client.get_model_version(full_name, number)
        except server.RefusedError as error:
            raise ConfigurationError(
                f"{full_name} version {number}, which was {alias} before, is gone: {error}"
            ) from error
    with server.errors():
        why = taken_down(connection, release.previous)
    if why is not None:
        raise ConfigurationError(
            f"the release that was {alias} before does not get it back: {why}; `dvc repro` and `walt promote` make one "
            "without it"
        )
    return dict(release.models), dict(release.previous)
