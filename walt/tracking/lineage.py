"""Which model versions there are, what their runs say of them, and which sources they were trained on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from walt.core.errors import ConfigurationError
from walt.core.own_digest import check_parquet
from walt.core.paths import located
from walt.core.storage import atomic_directory
from walt.core.suggestions import did_you_mean
from walt.tracking import server
from walt.tracking.addresses import parse_address
from walt.tracking.config import TrackingConfig
from walt.tracking.paging import all_of
from walt.tracking.trained_on import SOURCES_FILE, SOURCES_FOLDER, SOURCES_TAG, USES_TAG

_VERSION_TAG = "initial_weights"
TAKEDOWN_TAG = "takedown"
"""On a model version: the sources that it was trained on and that were taken down since, by the beginnings of their
hashes, joined by commas."""


@dataclass(frozen=True)
class Version:
    """A registered model version."""

    name: str
    """With the prefix: ``walt-base``."""
    version: str
    digest: str
    """Of its files."""
    run_id: str | None
    """None: it was registered without the run that trained it."""
    location: str
    """Where MLflow keeps its files."""
    aliases: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" + (f" ({', '.join(self.aliases)})" if self.aliases else "")


@dataclass(frozen=True)
class TrainedBy:
    """What MLflow has of the run that trained a version."""

    run_id: str
    tags: dict[str, str]
    params: dict[str, str]

    @property
    def uses(self) -> dict[str, str]:
        """Models that it was trained with: name without the prefix -> digest of their files."""
        return {key.removeprefix(USES_TAG): value for key, value in self.tags.items() if key.startswith(USES_TAG)}

    @property
    def inputs(self) -> dict[str, str]:
        """Artefact -> the hash that ``dvc.lock`` had for it."""
        return {key.removeprefix("input/"): value for key, value in self.tags.items() if key.startswith("input/")}


class Registry:
    """The model versions of a project. Raises UnreachableError where MLflow does not answer."""

    def __init__(self, config: TrackingConfig, root: Path, keep: Path) -> None:
        """``keep``: folder in which tables of sources that were fetched stay."""
        self._keep = keep
        with server.errors():
            self._connection = server.connect(config, root)
            self.versions = tuple(self._read())
        self.uri = self._connection.uri

    def _read(self) -> Iterator[Version]:
        client, prefix = self._connection.client, f"{self._connection.model_prefix}-"
        for model in all_of(client.search_registered_models, f"name LIKE '{prefix}%'"):
            aliases: dict[str, list[str]] = {}
            for alias, version in client.get_registered_model(model.name).aliases.items():
                aliases.setdefault(str(version), []).append(alias)
            yield from self._of_model(model.name, aliases)

    def _of_model(self, name: str, aliases: dict[str, list[str]]) -> Iterator[Version]:
        for found in all_of(self._connection.client.search_model_versions, f"name = '{name}'"):
            yield Version(
                name, str(found.version), str(found.tags.get(server.DIGEST_TAG)), found.run_id or None,
                str(found.source), tuple(sorted(aliases.get(str(found.version), []))), dict(found.tags),
            )  # fmt: skip

    def find(self, given: str, root: Path) -> Version:
        """A version by ``base@champion``, ``walt-base/3``, ``models:/walt-base/3``, ``base`` (the newest), or a folder.

        Raises ConfigurationError: there is none.
        """
        folder = located(root, given)
        if folder.is_dir():
            digest = server.folder_digest(folder)
            if found := [one for one in self.versions if one.digest == digest]:
                return _newest(found)
            raise ConfigurationError(f"{given}: no registered version has these files; `walt promote` registers them")
        address = parse_address(given, self._connection.model_prefix)
        of_name = [one for one in self.versions if address is not None and one.name == address.name]
        if address is None or not of_name:
            prefix = f"{self._connection.model_prefix}-"
            names = {one.name.removeprefix(prefix) for one in self.versions}
            hint = did_you_mean("" if address is None else address.name.removeprefix(prefix), names, "")
            raise ConfigurationError(f"{given}: no registered model and no folder has this name{hint}")
        found = [
            one for one in of_name if address.alias in (None, *one.aliases) and address.version in (None, one.version)
        ]
        if not found:
            raise ConfigurationError(f"{given}: {address.name} has no such version; it has {_listed(of_name)}")
        return _newest(found)

    def with_digest(self, name: str, digest: str) -> Version | None:
        """The version of a model (its name without the prefix) whose files have this digest."""
        full = f"{self._connection.model_prefix}-{name}"
        found = [one for one in self.versions if (one.name, one.digest) == (full, digest)]
        return _newest(found) if found else None

    def trained_by(self, version: Version) -> TrainedBy | None:
        """The run of a version; None where it has none, or it was deleted."""
        if version.run_id is None:
            return None
        try:
            with server.errors():
                run = self._connection.client.get_run(version.run_id)
        except server.RefusedError:
            return None
        return TrainedBy(version.run_id, dict(run.data.tags), dict(run.data.params))

    def uses(self, run: TrainedBy) -> list[Version]:
        """The versions that a run began with, or whose latents it saw."""
        found = [self.with_digest(name, digest) for name, digest in sorted(run.uses.items())]
        number, address = run.tags.get(f"{_VERSION_TAG}.version"), run.tags.get(_VERSION_TAG, "")
        given = parse_address(address, self._connection.model_prefix)
        if number and given is not None:
            found += [one for one in self.versions if (one.name, one.version) == (given.name, number)]
        return [one for one in found if one is not None]

    def sources_table(self, run: TrainedBy) -> Path | None:
        """The table of the sources that a run was trained on (``walt.tracking.trained_on``); None: it keeps none."""
        if SOURCES_TAG not in run.tags:
            return None
        folder = self._keep / run.tags[SOURCES_TAG][:32]
        if not (folder / SOURCES_FILE).is_file():
            from mlflow.artifacts import download_artifacts

            with server.errors(), atomic_directory(folder) as target:
                path = f"{SOURCES_FOLDER}/{SOURCES_FILE}"
                found = download_artifacts(
                    run_id=run.run_id, artifact_path=path, dst_path=str(target), tracking_uri=self.uri
                )
                Path(found).rename(target / SOURCES_FILE)
        check_parquet(folder / SOURCES_FILE)
        return folder / SOURCES_FILE

    def holders(self, sources: Collection[str]) -> dict[Version, str]:
        """The versions that were trained on one of these sources, and how: on its clips, or through another version.

        Args:
            sources: hex SHA-256.
        """
        runs = {one: self.trained_by(one) for one in self.versions}
        wanted = {bytes.fromhex(source) for source in sources}
        held: dict[Version, str] = {}
        seen: dict[str, str] = {}  # of equal tables one is read
        for version, run in runs.items():
            if run is None or (table := self.sources_table(run)) is None:
                continue
            digest = run.tags[SOURCES_TAG]
            if digest not in seen:
                seen[digest] = _how(table, wanted)
            if seen[digest]:
                held[version] = seen[digest]
        while True:
            more = {}
            for version, run in runs.items():
                through = [one for one in self.uses(run) if one in held] if run and version not in held else []
                if through:
                    more[version] = f"through {through[0]}"
            if not more:
                return held
            held |= more

    def tag(self, version: Version, key: str, value: str) -> None:
        """Set a tag on a version."""
        with server.errors():
            self._connection.client.set_model_version_tag(version.name, version.version, key, value)


def count_in(table: Path) -> dict[str, int]:
    """Of a run's table of sources: how many there are, and their clips to train on and held out."""
    rows = pq.read_table(table, partitioning=None)
    return {"sources": len(rows)} | {name: int(pc.sum(rows[name]).as_py() or 0) for name in ("train", "held_out")}


def sources_in(table: Path, most: int | None = None) -> list[tuple[str, int, int]]:
    """Of a run's table of sources: hex SHA-256, clips to train on, clips held out; of the first ``most``, or all."""
    columns = pq.read_table(table, partitioning=None).slice(0, most).to_pydict()
    rows = zip(columns["source_sha256"], columns["train"], columns["held_out"], strict=True)
    return [(digest.hex(), train, held_out) for digest, train, held_out in rows]


def _how(table: Path, wanted: set[bytes]) -> str:
    """How many clips of these sources a table names; empty: none."""
    import pyarrow as pa

    rows: Any = pq.read_table(table, partitioning=None)
    own = rows.filter(pc.is_in(rows["source_sha256"], pa.array(sorted(wanted), pa.binary(32))))
    train, held_out = (pc.sum(own[name]).as_py() or 0 for name in ("train", "held_out"))
    parts = [f"{train} clips to train on"] * bool(train) + [f"{held_out} clips held out"] * bool(held_out)
    return " and ".join(parts)


def _newest(versions: list[Version]) -> Version:
    return max(versions, key=lambda one: int(one.version))


def _listed(versions: list[Version]) -> str:
    return ", ".join(one.version + "".join(f"@{alias}" for alias in one.aliases) for one in versions[:20])
