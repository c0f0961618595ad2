"""A run of a training or evaluation stage, in MLflow: parameters, curves, files, model versions, system metrics.

A failure of MLflow never stops a training: what it cannot take goes to a spool (``walt.tracking.spool``), with a
warning, and is delivered when the run ends or else when the next run starts. What it refuses then (somebody deleted the
run) is set aside for a person. A stage that continues after it was stopped continues its MLflow run
(``walt.tracking.memory``), whose curves keep one point for each step (``walt.tracking.curves``).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from walt.core import log
from walt.core.errors import ConfigurationError, TerminatedError
from walt.core.ranks import ranks
from walt.core.secrets import all_without_secrets
from walt.tracking import experiments, provenance, server, stored_runs, trained_on
from walt.tracking.config import TrackingConfig
from walt.tracking.curves import Curves
from walt.tracking.memory import RunMemory
from walt.tracking.records import write_record
from walt.tracking.release_runs import release_record
from walt.tracking.spool import Record, Spool, pending, spool_folder

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor


COURSE_TAG = "walt.course"
"""What tells a run's work from other work with the same parameters and inputs, whose curves are others: code that
changed, a training that began afresh."""

_TROUBLE = (server.UnreachableError, server.RefusedError)


class Run:
    """What a stage writes to while it works. Made by ``start_run``."""

    def __init__(self, config: TrackingConfig, root: Path, description: Record) -> None:
        self._config, self._root, self._description = config, root, description
        self._connection: server.Connection | None = None
        self._run_id: str | None = None
        self._curves: Curves | None = None
        self._spool: Spool | None = None
        self._origin = uuid.uuid4().hex
        self._memory = RunMemory(root, description, description["tags"].get(COURSE_TAG))
        try:
            with server.errors():
                self._connection = server.connect(config, root)
                _deliver_pending(self._connection, root)
                self._run_id = self._open(self._connection)
            self._memory.keep(self._run_id)
        except _TROUBLE as error:
            self._go_offline(error, opening=True)

    @property
    def run_id(self) -> str | None:
        """MLflow's name of the run; None while MLflow does not take it."""
        return None if self._spool else self._run_id

    @property
    def address(self) -> str | None:
        """Of the run's page at a tracking server; None while MLflow does not take it, and for a database."""
        if self.run_id is None or self._connection is None or not self._connection.uri.startswith("http"):
            return None
        return f"{self._connection.uri.rstrip('/')}/#/experiments/{self._connection.experiment_id}/runs/{self.run_id}"

    @property
    def uri(self) -> str | None:
        """The tracking URI with its path resolved; None while MLflow cannot be reached."""
        return self._connection.uri if self._connection else None

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        """Add one point to each named curve, where it has none of this step."""
        self._write({"kind": "metrics", "values": values, "step": step, "timestamp": _now()})

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Store a file, or the content of a folder, under ``folder``. Raises FileNotFoundError."""
        if not path.exists():
            raise FileNotFoundError(path)
        self._write({"kind": "artifact", "path": str(path), "folder": folder})

    def log_picture(self, path: Path, name: str, step: int) -> None:
        """Add a PNG to the run's pictures of that name, which MLflow shows by step and beside those of other runs.

        Args:
            name: of letters, digits, ``_-./`` and spaces.
        """
        self._write({"kind": "picture", "path": str(path), "name": name, "step": step, "timestamp": _now()})

    def log_release(
        self,
        models: Mapping[str, str],
        settings: Mapping[str, Any],
        figures: Mapping[str, tuple[float, str, str]],
        samples: Path,
        evaluation: str,
    ) -> None:
        """Group this evaluation with the trainings of the models under one run; see ``walt.tracking.release_runs``."""
        inputs = self._description["inputs"]
        self._write(release_record(models, settings, figures, inputs, samples, _now(), evaluation))

    def register_model(self, folder: Path, name: str) -> str | None:
        """Store a folder of safetensors and JSON as a version of ``<prefix>-<name>``: the version's number.

        The same files are the same version. None when MLflow cannot be reached: the version is made on delivery.
        Raises FileNotFoundError.
        """
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        return self._write({"kind": "model", "path": str(folder), "name": name})

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED; if there is a spool, try once more to deliver it."""
        self._write({"kind": "end", "status": status, "timestamp": _now()})
        if status == "FINISHED":
            self._memory.forget()
        if self._spool is None:
            return
        self._spool.close()
        try:
            deliver(self._config, self._root)
        except (
            *_TROUBLE,
            ConfigurationError,
        ) as error:  # the latter: of another version meanwhile
            log.warning(
                f"MLflow at {self._config.uri} still does not take it ({error}). This run's figures are kept in "
                f"{self._spool.folder} and will be delivered when the next run starts."
            )

    def _open(self, connection: server.Connection) -> str:
        """Continue the run that was cut off, if this is the same work; else close it and open another."""
        earlier = self._memory.earlier or stored_runs.run_of(connection, self._memory.origin)
        if earlier is not None:
            if self._memory.continues and stored_runs.reopen_run(connection, earlier, self._description):
                self._curves = Curves(connection.client, earlier)
                return earlier
            stored_runs.close_run(connection, earlier, _now())
        self._memory.keep(None, self._origin)  # by which it is found, if this process is killed before it has its id
        return stored_runs.create_run(connection, self._description, self._origin)

    def _write(self, record: Record) -> str | None:
        if self._spool is None:
            assert self._connection is not None
            assert self._run_id is not None
            try:
                with server.errors():
                    new = record if self._curves is None else self._curves.without_known(record)
                    return write_record(self._connection, self._run_id, new)
            except _TROUBLE as error:
                self._go_offline(error)
        assert self._spool is not None
        self._spool.append(record)
        return None

    def _go_offline(self, error: Exception, opening: bool = False) -> None:
        """Keep everything from here on in a spool: of the run that is continued, or of one that this start begins."""
        self._spool = Spool.create(self._root)
        begins = {**self._description, "run_id": self._run_id}
        if opening:
            if self._memory.continues:
                begins |= {"run_id": self._memory.earlier, "origin": self._memory.origin or self._origin}
            else:
                begins |= {"closes": self._memory.earlier, "origin": self._origin}
            self._memory.keep(begins["run_id"], begins["origin"])
        self._spool.append(begins)
        trouble = "cannot be reached" if isinstance(error, server.UnreachableError) else "refuses this run's figures"
        log.warning(
            f"MLflow at {self._config.uri} {trouble} ({error}). The stage continues; its metrics, files and "
            f"models are kept in {self._spool.folder}."
        )


class SilentRun(Run):
    """What the other ranks of a stage write to: the first one alone writes."""

    def __init__(self) -> None:
        """Nothing is opened."""

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        """Nothing."""

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Nothing."""

    def log_picture(self, path: Path, name: str, step: int) -> None:
        """Nothing."""

    def log_release(
        self,
        models: Mapping[str, str],
        settings: Mapping[str, Any],
        figures: Mapping[str, tuple[float, str, str]],
        samples: Path,
        evaluation: str,
    ) -> None:
        """Nothing."""

    def register_model(self, folder: Path, name: str) -> str | None:
        """Nothing."""
        return None


@contextmanager
def start_run(
    config: TrackingConfig,
    root: Path,
    name: str,
    params: dict[str, Any],
    tags: dict[str, str],
) -> Iterator[Run]:
    """Open a run for the stage ``name``; nested ``params`` become dotted names.

    The run is tagged with the stage, the git commit, and the hash of each input that ``dvc.lock`` knows, next to
    ``tags``; one that trains keeps the sources of its clips (``walt.tracking.trained_on``). It ends as FINISHED, as
    KILLED (SIGTERM, interrupt) or as FAILED. A stage that did not finish, and is started again with the same parameters
    and inputs, continues its run. Of several ranks the first one alone writes.

    Args:
        tags: ``COURSE_TAG`` among them makes it another run than one with the same parameters and inputs.

    Raises:
        ConfigurationError: ``tracking.uri`` is not of a known kind.
        StorageError: MLflow cannot be reached and the spool cannot be written either.
    """
    if not ranks().is_first:
        yield SilentRun()
        return
    inputs = provenance.input_hashes(root, name)
    sources = None if trained_on.FROZEN_TAG in tags else trained_on.keep_sources(root, name)
    description: Record = {
        "kind": "run",
        "name": name,
        "params": all_without_secrets(params),
        "inputs": inputs,
        "timestamp": _now(),
        "tags": {
            "stage": name,
            "mlflow.source.name": f"walt {name}",
            "mlflow.source.type": "LOCAL",
            **{f"input/{path}": digest for path, digest in inputs.items()},
            **provenance.git_tags(root),
            **experiments.experiment_tags(),
            **trained_on.lineage_tags(root, name, sources),
            **all_without_secrets(tags),
        },
    }
    run = Run(config, root, description)
    if sources is not None:
        run.log_artifact(sources, trained_on.SOURCES_FOLDER)
    monitor = _start_monitor(run) if config.system_metrics else None
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except (TerminatedError, KeyboardInterrupt):
        status = "KILLED"
        raise
    finally:
        if monitor is not None:
            monitor.finish()  # type: ignore[no-untyped-call]
        run.end(status)


def deliver(config: TrackingConfig, root: Path) -> None:
    """Send everything that earlier runs could not.

    Raises:
        UnreachableError: MLflow does not answer; everything is still kept.
    """
    if any(spool_folder(root).glob("*")):
        with server.errors():
            _deliver_pending(server.connect(config, root), root)


def _deliver_pending(connection: server.Connection, root: Path) -> None:
    for spool in pending(root):
        records = spool.records()
        try:
            with server.errors():
                _deliver(connection, spool, records)
        except server.RefusedError as error:
            log.warning(f"tracking: MLflow refuses what was kept on disk ({error}); see {spool.refuse()}")
        except server.UnreachableError:
            spool.close()
            raise
        else:
            spool.remove()


def _deliver(connection: server.Connection, spool: Spool, records: list[Record]) -> None:
    if not records:
        return  # killed before its first record
    begins = records[0]
    run_id = begins["run_id"] or stored_runs.create_run(connection, begins, begins["origin"])
    if begins.get("closes"):
        stored_runs.close_run(connection, begins["closes"], begins["timestamp"])
    if records[-1]["kind"] != "end":  # its process was killed
        records = [*records, {"kind": "end", "status": "KILLED", "timestamp": _now()}]
    try:
        with server.errors():
            curves = Curves(connection.client, run_id)
            for record in records[1:]:
                write_record(connection, run_id, curves.without_known(record))
    except server.RefusedError:
        with suppress(server.RefusedError), server.errors():  # if the run is there, it must not stay open
            write_record(connection, run_id, records[-1])
        raise
    log.info(f"tracking: delivered {len(records)} records of '{records[0]['name']}' that were kept on disk")


def _start_monitor(run: Run) -> SystemMetricsMonitor | None:
    """Processor, memory, disk, network and GPU, every ten seconds, by a thread of MLflow's."""
    if run.run_id is None:
        return None
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    # resumed: after the steps that the run has; of a new one, from 0
    monitor = SystemMetricsMonitor(run.run_id, resume_logging=True, tracking_uri=run.uri)  # type: ignore[no-untyped-call]
    monitor.start()  # type: ignore[no-untyped-call]
    return monitor


def _now() -> int:
    """Milliseconds since 1970: shown by MLflow, and not used for any decision."""
    return int(time.time() * 1000)
