"""What a stage reads and makes, as OpenLineage's events say it; see ``walt.tracking.openlineage``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.digests import sha256_file, sha256_json
from walt.core.left_out import is_left_out
from walt.core.paths import ARTIFACTS
from walt.core.remote import is_remote
from walt.core.transformers import TRANSFORMER_NAMES
from walt.data.partitions import read_parts
from walt.project.params import Params
from walt.project.recorded_outputs import output_files
from walt.project.registry import Stage
from walt.tracking.experiments import lasting_root
from walt.tracking.memory import finished_run, forget_finished
from walt.tracking.openlineage import Dataset, Job, is_asked_for, run_events

_MODELS = ("autoencoder", "text_encoder", *TRANSFORMER_NAMES)
_TABLES = ("clips.parquet", "captions.parquet")
"""In the folders of tars: the table whose rows are counted."""


@contextmanager
def stage_events(stage: Stage, params: Params, root: Path) -> Iterator[None]:
    """The block is a run of this stage."""
    if not is_asked_for():
        yield
        return
    forget_finished(root, stage.name)
    job = Job(f"walt.{stage.name}", "STAGE", stage.summary)
    with run_events(
        root, job, lambda: inputs_of(stage, params, root), lambda: outputs_of(stage, params, root),
        lambda: _tags(stage, root),
    ):  # fmt: skip
        yield


def inputs_of(stage: Stage, params: Params, root: Path) -> list[Dataset]:
    """What a stage reads, as far as it is there: what is given to the project, and what other stages made."""
    given = {f"${{dataset.{key}}}": str(getattr(params.dataset, key)) for key in ("descriptor", "path")}
    sources = [given.get(source, source) for source in stage.sources]
    found = [_given(source, root) for source in sources if is_remote(source) or (root / source).exists()]
    return [*found, *_artefacts(stage.inputs, root)]


def outputs_of(stage: Stage, params: Params, root: Path) -> list[Dataset]:
    """What a stage made, and its copy on a server."""
    copies = [Dataset(params.ingest.output)] if "clips" in stage.outputs and params.ingest.output else []
    return [*_artefacts(stage.outputs, root), *copies]


def _given(source: str, root: Path) -> Dataset:
    if is_remote(source):
        return Dataset(source)
    path = root / source
    return Dataset(_location(root, source), version=f"sha256:{sha256_file(path)}" if path.is_file() else None)


def _artefacts(names: tuple[str, ...], root: Path) -> list[Dataset]:
    there = [name for name in names if (root / ARTIFACTS[name]).exists() and not is_left_out(root / ARTIFACTS[name])]
    return [_artefact(name, root) for name in there]


def _artefact(name: str, root: Path) -> Dataset:
    path = root / ARTIFACTS[name]
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    schema, rows = _table(path)
    return Dataset(
        _location(root, ARTIFACTS[name]),
        "MODEL" if name in _MODELS else "TABLE" if name == "manifest" or path.suffix == ".parquet" else "FILE",
        _version(path),
        tuple((field.name, str(field.type)) for field in schema),
        rows,
        len(files),
        sum(file.stat().st_size for file in files),
    )


def _table(path: Path) -> tuple[pa.Schema | tuple[()], int | None]:
    """Columns and rows of the table that an artefact is or has; of one without, neither."""
    if parts := sorted(path.glob("part-*.parquet"))[:1]:
        return pq.read_schema(parts[0]), sum(part.rows for part in read_parts(path))
    for table in (path, *(path / name for name in _TABLES)):
        if table.is_file() and table.suffix == ".parquet":
            with pq.ParquetFile(table) as file:
                return file.schema_arrow, int(file.metadata.num_rows)
    return (), None


def _version(path: Path) -> str:
    """A digest of what an artefact holds, where an index names its tars or parts of that index; of a model it is the
    tag ``walt.digest`` of its version."""
    if path.is_file():
        return f"sha256:{sha256_file(path)}"
    digests = {file.relative_to(path).as_posix(): sha256_file(file) for file in output_files(path)}
    return f"sha256:{sha256_json(digests)}"


def _location(root: Path, path: str) -> str:
    """Where it is, or of a copy for an experiment of DVC's where it would be in the project."""
    return str((lasting_root(root) / path).absolute())


def _tags(stage: Stage, root: Path) -> dict[str, str]:
    run = finished_run(root, stage.name)
    return {} if run is None else {"mlflow.run_id": run}
