"""A promoted release as a project of its own, beside the present one: its code, settings and data as they were.

Code comes from git (``git worktree``), data from DVC's cache, which the two projects then share, or from its remote.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from walt.core.config import read_yaml
from walt.core.errors import ConfigurationError, StorageError
from walt.core.storage import replace_file
from walt.project.new_folder import is_new, make_project
from walt.tracking.release_record import DESCRIPTOR_FILE, LOCK_FILE, PARAMS_FILE

_LOCAL_SETTINGS = ".dvc/config.local"


def make_working_copy(root: Path, commit: str | None, kept: Path, folder: Path) -> Path:
    """Make the project of a release in ``folder``.

    Args:
        root: the present project.
        commit: of the release's code; None: it was promoted outside of git, and the code is that of the walt that runs.
        kept: folder with what is kept with the release.

    Returns:
        The project: ``folder``, or a folder in it where the project is not at the top of its repository.

    Raises:
        ConfigurationError: there is something at ``folder``, or git does not know the commit. Nothing was made.
        StorageError: not all data can be had any more; the message names what is missing. The rest is there.
    """
    if folder.exists():
        raise ConfigurationError(f"{folder}: it is there already")
    project = folder if commit is None else _checked_out(root, commit, folder)
    project.mkdir(parents=True, exist_ok=True)
    params, descriptor = kept / PARAMS_FILE, kept / DESCRIPTOR_FILE
    for file in (params, kept / LOCK_FILE):
        if file.is_file():
            replace_file(project / file.name, file.read_bytes())
    name = Path(read_yaml(params)["dataset"]["descriptor"])
    if is_new(project):
        make_project(project, str(name))
    if descriptor.is_file() and not name.is_absolute():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        replace_file(project / name, descriptor.read_bytes())
    _get_data(root, project)
    return project


def _checked_out(root: Path, commit: str, folder: Path) -> Path:
    """The commit as a working copy of the same repository; the project's folder in it."""
    where = _call(root, "git", "rev-parse", "--show-prefix")
    made = _call(root, "git", "worktree", "add", "--detach", str(folder.resolve()), commit)
    if made.returncode:
        raise ConfigurationError(f"git worktree add: {_last_line(made)}")
    return folder / where.stdout.strip()


def _get_data(root: Path, project: Path) -> None:
    """Have DVC put the data there, from the cache of ``root``, and what that lacks from the remote."""
    dvc = (sys.executable, "-m", "dvc")
    if (root / _LOCAL_SETTINGS).is_file():  # a remote's login
        shutil.copyfile(root / _LOCAL_SETTINGS, project / _LOCAL_SETTINGS)
    cache = _call(root, *dvc, "cache", "dir")
    if cache.returncode == 0:
        cache = _call(project, *dvc, "cache", "dir", "--local", cache.stdout.strip())
    ended = cache if cache.returncode else _call(project, *dvc, "checkout", "--force")
    if ended.returncode and _call(project, *dvc, "remote", "default").stdout.strip():
        ended = _call(project, *dvc, "pull", "--force")
    if ended.returncode:
        missing = [path for path in _outputs(project) if not (project / path).exists()]
        what = f"{', '.join(missing)}: neither in DVC's cache nor in a remote" if missing else _last_line(ended)
        raise StorageError(f"{project} is there, but not all of its data: {what}")


def _outputs(project: Path) -> list[str]:
    stages = read_yaml(project / LOCK_FILE).get("stages") or {}
    return [out["path"] for stage in stages.values() for out in stage.get("outs", [])]


def _call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ConfigurationError(f"no command {command[0]} on this machine") from error


def _last_line(ended: subprocess.CompletedProcess[str]) -> str:
    return ((ended.stderr.strip() or ended.stdout.strip()).splitlines() or [f"exit status {ended.returncode}"])[-1]
