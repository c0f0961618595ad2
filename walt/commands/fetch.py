"""``walt fetch``: clips and tables that another machine's ingest published, downloaded and verified.

Not a stage: DVC has nothing to decide about it. It takes ingest's lock, since it fills the same folders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.core.paths import Paths
from walt.core.storage import lock
from walt.project.recorded_outputs import record_outputs
from walt.project.registry import get_stage
from walt.project.runner import load_params


def command(
    url: Annotated[str | None, typer.Argument(help="Such as s3://bucket/prefix; by default ingest.output.")] = None,
) -> None:
    """Download and verify the clips and tables that an ingest with ingest.output published."""
    run(url, Path.cwd())


def run(url: str | None, root: Path) -> int:
    """Fetch from ``url``, or from ``ingest.output`` of the project's parameters. Returns the number of files.

    Raises:
        ConfigurationError: no URL is given, and the parameters name none.
        StorageError, CorruptArtifactError: as ``walt.ingest.mirror.fetch``. LockedError: ingest runs.
    """
    from walt.ingest.mirror import fetch  # loads what --help does not need

    prefix = url or load_params(root).ingest.output
    if prefix is None:
        raise ConfigurationError("ingest.output is null: say what to fetch, `walt fetch s3://bucket/prefix`")
    paths = Paths(root)
    with lock(paths.work("ingest") / "lock"):
        count = fetch(paths, prefix)
        record_outputs(get_stage("ingest"), paths)
    info(f"fetched {count} files; data/ holds what {prefix} publishes")
    return count
