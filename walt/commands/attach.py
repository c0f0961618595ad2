"""``walt attach``: latents and text that stay on S3, for a training on this machine.

Not a stage: it makes no artefact, and DVC has nothing to decide about it.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import info
from walt.core.paths import Paths
from walt.core.storage import lock


def command(
    url: Annotated[str, typer.Argument(help="Copy of a project's data folder: s3://bucket/prefix.")],
) -> None:
    """Train on latents and text that stay on S3: fetch their tables, and have their tars read there."""
    from walt.data.attached import attach

    paths = Paths(Path.cwd())
    with ExitStack() as locks:
        for stage in ("encode-text", "encode-video"):
            locks.enter_context(lock(paths.work(stage) / "lock"))
        count = attach(url, paths.root)
    info(f"fetched {count} tables; the tars of data/latents and data/text are read at {url}")
