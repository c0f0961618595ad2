"""``walt release``: what a release was made of, fetched from the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from walt.core.errors import ConfigurationError
from walt.core.log import info, warning
from walt.core.scratch import scratch_folder
from walt.core.secrets import HIDDEN
from walt.project.runner import load_params

if TYPE_CHECKING:
    from walt.tracking.release_record import Release


def command(
    out: Annotated[
        Path | None, typer.Option(help="A folder for the files that are kept with it, not there yet.")
    ] = None,
    working_copy: Annotated[
        Path | None, typer.Option(help="A folder for the whole project as it was, not there yet: code, settings, data.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(help="Of the base model: 3, base/3, walt-base@ALIAS; by default the one with promotion.alias."),
    ] = None,
) -> None:
    """Fetch what a promoted release was made of: settings, dvc.lock, the table of its clips. Or make its project again.

    With `--working-copy` its commit is checked out as a git worktree, its settings are put there, and DVC gets its data
    from the cache of this project, or from the remote.
    """
    from walt.tracking import server  # imports MLflow, which --help does not need
    from walt.tracking.addresses import release_address
    from walt.tracking.given_release import base_version
    from walt.tracking.models import aliased_release
    from walt.tracking.release_record import fetch_release

    root = Path.cwd()
    params = load_params(root)
    if out is None and working_copy is None:
        raise ConfigurationError("say --out FOLDER for the files, or --working-copy FOLDER for the whole project")
    for folder in (out, working_copy):
        if folder is not None and folder.exists():
            raise ConfigurationError(f"{folder}: it is there already")
    with server.errors():
        connection = server.connect(params.tracking, root)
        address = release_address(version or params.promotion.alias, connection.model_prefix)
        name, base = base_version(connection, address)
        number = str(base.version)
        aliased = aliased_release(connection, params.promotion.alias)
        models = aliased if number == next(iter(aliased.values()), None) else None  # else the newest with this base
    with scratch_folder() as scratch:
        kept = scratch / "release" if out is None else out
        with server.errors():
            release = fetch_release(connection, name, number, kept, models)
        if out is not None:
            info(f"{name} version {number}: {', '.join(sorted(file.name for file in out.iterdir()))} are in {out}")
        _say_of_the_code(release)
        if working_copy is not None:
            _make_again(root, release, kept, working_copy)


def _say_of_the_code(release: Release) -> None:
    commit = release.git.get("git.commit")
    if commit is None:
        info("it was promoted outside of a git repository, so nothing says which code it was made with")
    else:
        info(f"its code is commit {commit}")
    if release.uncommitted:
        warning(f"changed and not committed then, so not as they were: {', '.join(release.uncommitted)}")


def _make_again(root: Path, release: Release, kept: Path, folder: Path) -> None:
    from walt.project.working_copy import make_working_copy

    project = make_working_copy(root, release.git.get("git.commit"), kept, folder)
    info(f"the project as it was is {project}; there, `dvc status` says what would be made again")
    texts = sorted(file for file in kept.iterdir() if file.suffix in {".yaml", ".lock"})
    if hidden := [file.name for file in texts if HIDDEN in file.read_text(encoding="utf-8", errors="replace")]:
        warning(f"user and password of addresses are not kept: put them where *** stands ({', '.join(hidden)})")
