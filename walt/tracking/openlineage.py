"""Events of OpenLineage for those who collect them: which run read and made what. Off unless somebody asks for it.

Who asks does so as OpenLineage's own client expects it, and no setting of ours repeats that: a collector's address in
``OPENLINEAGE_URL``, a file that ``OPENLINEAGE_CONFIG`` names, ``openlineage.yml`` in the project or in
``~/.openlineage``, or variables that begin with ``OPENLINEAGE__TRANSPORT``. The client is the extra
``walt[openlineage]``. The format is that of https://openlineage.io/spec/2-0-2/OpenLineage.json.

A collector that is away costs a run one warning and nothing else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from walt.core import log
from walt.core.errors import TerminatedError
from walt.core.paths import located
from walt.core.secrets import without_secrets
from walt.tracking import provenance
from walt.tracking.experiments import experiment_tags, lasting_root

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, OutputDataset

PARENT_VARIABLE, ROOT_VARIABLE = "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"
"""``namespace/job/run``: the run of which this one is a part, and the one of which all are, as Airflow and dbt say."""
_NAMESPACE_VARIABLE, _OFF_VARIABLE = "OPENLINEAGE_NAMESPACE", "OPENLINEAGE_DISABLED"
_ASKING = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
_FILE = "openlineage.yml"
_FLUSH_SECONDS = 10.0
_QUIET = ("openlineage", "urllib3", "requests")
"""Loggers that say, several times over, what our own line says."""


@dataclass(frozen=True)
class Dataset:
    """Something that a run reads or makes."""

    location: str
    """An absolute path of this machine, or a URL."""
    kind: str = "FILE"
    """As OpenLineage names it: FILE, TABLE, MODEL."""
    version: str | None = None
    """A digest of its content."""
    columns: tuple[tuple[str, str], ...] = ()
    """Of a table: names and types."""
    rows: int | None = None
    files: int | None = None
    size: int | None = None
    """Bytes."""


@dataclass(frozen=True)
class Job:
    """What is done, again and again."""

    name: str
    kind: str
    """STAGE or FLOW."""
    description: str


def is_asked_for() -> bool:
    """Whether OpenLineage's client knows where events go."""
    if os.environ.get(_OFF_VARIABLE, "").strip().lower() == "true":
        return False
    by_variable = any(name.startswith(_ASKING) and value for name, value in os.environ.items())
    return by_variable or any((located(Path.cwd(), folder) / _FILE).is_file() for folder in ("", "~/.openlineage"))


@contextmanager
def run_events(
    root: Path,
    job: Job,
    inputs: Callable[[], Sequence[Dataset]],
    outputs: Callable[[], Sequence[Dataset]],
    tags: Callable[[], Mapping[str, str]] = dict,
    run_id: UUID | None = None,
) -> Iterator[None]:
    """The block is a run of ``job``: an event when it starts, another when it is complete, has failed, or was stopped
    (ABORT). Within the block, the processes that it starts know it as the run that theirs are parts of.

    Args:
        inputs: asked before the block. outputs: asked after it, where it is complete. tags: asked after it.
        run_id: None: a new one, since a run of OpenLineage starts once and ends once: a training that was stopped and
            goes on is a second one.
    """
    if not is_asked_for():
        yield
        return
    events = _Events(root, job, run_id or uuid4())
    events.begin(inputs)
    try:
        with _parent_of_children(events.name):
            yield
    except BaseException as error:
        of_somebody = isinstance(error, TerminatedError) or not isinstance(error, Exception)
        said = None if of_somebody else f"{type(error).__name__}: {error}"
        events.end("ABORT" if of_somebody else "FAIL", lambda: (), tags, said)
        raise
    events.end("COMPLETE", outputs, tags)


class _Events:
    """Those of one run. Nothing that goes wrong here reaches the run."""

    def __init__(self, root: Path, job: Job, run_id: UUID) -> None:
        self._root, self._job, self._run_id = root, job, str(run_id)
        named = os.environ.get(_NAMESPACE_VARIABLE) or lasting_root(root).resolve().name
        self._namespace = without_secrets(named)
        self._warned = False
        self._inputs: Sequence[Dataset] = ()
        self._client: OpenLineageClient | None = None

    @property
    def name(self) -> str:
        """As parts of this run are reported."""
        return f"{self._namespace}/{self._job.name}/{self._run_id}"

    def begin(self, inputs: Callable[[], Sequence[Dataset]]) -> None:
        """Connect, and send the first event."""
        if find_spec("openlineage") is None:
            self._warn("its client is not installed: pip install '/path/to/walt[openlineage]'")
            return
        with self._survived():
            from openlineage.client import OpenLineageClient

            self._client = OpenLineageClient()
            self._inputs = inputs()
            self._send("START", (), {}, None)

    def end(
        self,
        state: str,
        outputs: Callable[[], Sequence[Dataset]],
        tags: Callable[[], Mapping[str, str]],
        error: str | None = None,
    ) -> None:
        """Send the last event, and wait until all is sent: some transports do it in a thread of their own."""
        if self._client is None:
            return
        with self._survived():
            self._send(state, outputs(), tags(), error)
        with self._survived():
            self._client.close(_FLUSH_SECONDS)

    def _send(self, state: str, outputs: Sequence[Dataset], tags: Mapping[str, str], error: str | None) -> None:
        from openlineage.client import event_v2

        assert self._client is not None
        event = event_v2.RunEvent(
            eventType=event_v2.RunState[state],
            eventTime=datetime.now(UTC).isoformat(),
            run=event_v2.Run(self._run_id, facets=self._run_facets(tags, error)),
            job=event_v2.Job(self._namespace, self._job.name, facets=self._job_facets()),
            inputs=[_input(one) for one in self._inputs],
            outputs=[_output(one) for one in outputs],
            producer=f"urn:walt:{_own_version()}",  # no address: this project has none yet
        )
        self._client.emit(event)

    def _run_facets(self, tags: Mapping[str, str], error: str | None) -> dict[str, Any]:
        from openlineage.client.facet_v2 import error_message_run, processing_engine_run, tags_run

        engine = processing_engine_run.ProcessingEngineRunFacet(version=_own_version(), name="walt")
        facets: dict[str, Any] = {"processing_engine": engine, **_parent_facets()}
        if said := {**experiment_tags(), **tags}:
            fields = [tags_run.TagsRunFacetFields(key, without_secrets(value), "walt") for key, value in said.items()]
            facets["tags"] = tags_run.TagsRunFacet(tags=fields)
        if error is not None:
            message = without_secrets(error)
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, programmingLanguage="PYTHON")
        return facets

    def _job_facets(self) -> dict[str, Any]:
        from openlineage.client.facet_v2 import documentation_job, job_type_job, source_code_location_job

        facets: dict[str, Any] = {
            "jobType": job_type_job.JobTypeJobFacet("BATCH", integration="WALT", jobType=self._job.kind),
            "documentation": documentation_job.DocumentationJobFacet(self._job.description),
        }
        if (origin := provenance.git_origin(self._root)) is not None:
            url = without_secrets(origin)  # set here: the client would send a password that the address has in it
            commit = provenance.git_tags(self._root).get("git.commit")
            facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
                "git", url, repoUrl=url, version=commit
            )
        return facets

    @contextmanager
    def _survived(self) -> Iterator[None]:
        levels = {name: logging.getLogger(name).level for name in _QUIET}
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        except Exception as error:  # noqa: BLE001 transports raise what they like, and the run does not depend on them
            self._warn(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)

    def _warn(self, why: str) -> None:
        if not self._warned:
            log.warning(f"no OpenLineage events of {self._job.name} ({why}). The work goes on.")
        self._warned = True


@contextmanager
def _parent_of_children(name: str) -> Iterator[None]:
    """Name a run as the parent of those that the processes of the block begin."""
    before = {variable: os.environ.get(variable) for variable in (PARENT_VARIABLE, ROOT_VARIABLE)}
    os.environ[ROOT_VARIABLE] = before[ROOT_VARIABLE] or before[PARENT_VARIABLE] or name
    os.environ[PARENT_VARIABLE] = name
    try:
        yield
    finally:
        for variable, value in before.items():
            os.environ.pop(variable)
            if value is not None:
                os.environ[variable] = value


def _parent_facets() -> dict[str, Any]:
    """The run that this one is a part of, as its environment says; empty where that says none."""
    from openlineage.client.facet_v2 import parent_run

    parent = _read_name(os.environ.get(PARENT_VARIABLE, ""))
    if parent is None:
        return {}
    namespace, job, run = parent
    root_namespace, root_job, root_run = _read_name(os.environ.get(ROOT_VARIABLE, "")) or parent
    root = parent_run.Root(run=parent_run.RootRun(root_run), job=parent_run.RootJob(root_namespace, root_job))
    return {"parent": parent_run.ParentRunFacet(parent_run.Run(run), parent_run.Job(namespace, job), root=root)}


def _read_name(name: str) -> tuple[str, str, str] | None:
    """(namespace, job, run) of ``namespace/job/run``, whose namespace may have slashes; None where it is none."""
    parts = without_secrets(name).rsplit("/", 2)
    try:
        return (parts[0], parts[1], str(UUID(parts[2]))) if len(parts) == 3 else None
    except ValueError:
        return None


def _named(dataset: Dataset) -> tuple[str, str]:
    """Namespace and name by OpenLineage's rules: a bucket or host with a key, ``file`` with a path. Who reads it and
    the signature are left out: others who read the same call it the same."""
    location = without_secrets(dataset.location)
    if "://" not in location:
        return "file", location
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.lstrip("/") or "/"


def _facets(dataset: Dataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_type_dataset, dataset_version_dataset, schema_dataset

    facets: dict[str, Any] = {"datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(dataset.kind)}
    if dataset.version is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(dataset.version)
    if dataset.columns:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name, kind, ordinal_position=place)
            for place, (name, kind) in enumerate(dataset.columns, 1)
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    return facets


def _input(dataset: Dataset) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    counted = statistics.InputStatisticsInputDatasetFacet(dataset.rows, dataset.size, dataset.files)
    return InputDataset(*_named(dataset), facets=_facets(dataset), inputFacets={"inputStatistics": counted})


def _output(dataset: Dataset) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    counted = statistics.OutputStatisticsOutputDatasetFacet(dataset.rows, dataset.size, dataset.files)
    return OutputDataset(*_named(dataset), facets=_facets(dataset), outputFacets={"outputStatistics": counted})


@cache
def _own_version() -> str:
    try:
        return version("walt")
    except PackageNotFoundError:  # a checkout that was not installed
        return "0"
