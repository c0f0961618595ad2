"""What DVC's cache and MLflow's files hold that nothing refers to. DVC and MLflow say so; here nothing is removed.

``dvc gc`` alone would remove what only a promoted release is made of, whose ``dvc.lock`` is kept in MLflow and may be
in no branch: these locks are given to it as projects.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from walt.core.errors import StorageError
from walt.core.scratch import scratch_folder
from walt.project.params import Params
from walt.project.runner import PARAMS_FILE
from walt.tracking import server
from walt.tracking.release_record import LOCK_FILE
from walt.tracking.unneeded import fetch_locks, files_of_deleted_runs, models_without_version

_PIPELINE = "dvc.yaml"
_REMOVING = "Removing "


def unused_in_dvc(params: Params, root: Path) -> tuple[Path, ...]:
    """Objects in DVC's cache. None where the project is none of DVC's.

    Raises:
        StorageError: MLflow cannot be asked for the releases, or DVC for the rest.
    """
    if not (root / ".dvc").is_dir() or not (root / _PIPELINE).is_file():
        return ()
    with server.errors():
        connection = server.connect(params.tracking, root)
        with scratch_folder() as scratch:
            locks = fetch_locks(connection, scratch)
            with_git = _call(root, "git", "rev-parse", "-q", "--verify", "HEAD").returncode == 0
            projects = [_project(root, file, with_git) for file in locks]
            keep = ["--all-branches", "--all-tags", "--all-experiments"] if with_git else []
            kept = ["--projects", *map(str, projects)] if projects else []
            ended = _call(root, sys.executable, "-m", "dvc", "gc", "--workspace", *keep, "--dry", "--force", *kept)
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip() or "no answer").splitlines()[-1]
        raise StorageError(f"dvc gc: {said}")
    named = (line.removeprefix(_REMOVING) for line in ended.stdout.splitlines() if line.startswith(_REMOVING))
    return tuple(path for name in named if (path := Path(name)).exists())


def unused_in_mlflow(params: Params, root: Path, settled_seconds: float) -> tuple[list[Path], list[Path]]:
    """Folders of files of runs that somebody deleted, and of models that are not a version's.

    Args:
        settled_seconds: how old such a model must be.

    Raises:
        StorageError: MLflow cannot be asked.
    """
    here = root / "mlartifacts"
    if not here.is_dir():
        return [], []
    with server.errors():
        connection = server.connect(params.tracking, root)
        return files_of_deleted_runs(connection, here), models_without_version(connection, here, settled_seconds)


def _project(root: Path, file: Path, with_git: bool) -> Path:
    """A project of DVC's around the ``dvc.lock`` of a release, for ``dvc gc`` to look at."""
    folder = file.parent
    for name in (_PIPELINE, PARAMS_FILE):  # the former names values of the latter
        shutil.copy(root / name, folder / name)
    dvc = [sys.executable, "-m", "dvc", "init", "-q", *([] if with_git else ["--no-scm"])]
    git = ["git", "-c", "user.name=walt", "-c", "user.email=walt@localhost", "-c", "commit.gpgsign=false"]
    commands = [dvc]
    if with_git:
        commands = [["git", "init", "-q"], dvc, ["git", "add", "-A"], [*git, "commit", "-q", "-m", LOCK_FILE]]
    for command in commands:
        ended = _call(folder, *command)
        if ended.returncode:
            raise StorageError(f"{' '.join(command[-3:])}: {(ended.stderr.strip() or 'no answer').splitlines()[-1]}")
    return folder


def _call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
