"""``walt release``: what a release was made of, fetched from the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.project.runner import load_params


def command(
    out: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
    version: Annotated[
        str | None, typer.Option(help="Version of the base model; by default the one that has the alias.")
    ] = None,
) -> None:
    """Fetch what a promoted release was made of: params.yaml, dvc.lock, the table of its clips, and the git commit."""
    from walt.tracking import server  # imports MLflow, which --help does not need
    from walt.tracking.release_record import deciding_version, fetch_release

    root = Path.cwd()
    params = load_params(root)
    if out.exists():
        raise ConfigurationError(f"{out}: it is there already")
    with server.errors():
        connection = server.connect(params.tracking, root)
        name, number = deciding_version(connection, params.promotion.alias, version)
        release = fetch_release(connection, name, number, out)
    info(f"{name} version {number}: {', '.join(sorted(file.name for file in out.iterdir()))} are in {out}")
    commit = release.git.get("git.commit")
    if commit is None:
        info("it was promoted outside of a git repository")
        return
    dirty = release.git.get("git.dirty") == "true"
    info(f"its code is commit {commit}{', with changes that were not committed' if dirty else ''}")
    info(f"a working copy: git worktree add FOLDER {commit}; copy params.yaml and dvc.lock there; dvc checkout")
