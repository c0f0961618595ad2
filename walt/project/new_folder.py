"""A project's folder outside of a clone: what DVC, git and Prefect need there, and the descriptor of the dataset.

The files are those of a clone; an installed package has them in ``walt/project_files``, where ``setup.py`` puts them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.imports import package_root
from walt.core.storage import replace_file
from walt.project.dvc_yaml import PIPELINE_FILE, has_the_code, render

_FILES = ("prefect.yaml", "prefect.toml", ".dvcignore", ".gitignore")
_WATCHED = ("datasets/classes", "datasets/annotations", "datasets/captions", "datasets/takedowns")
"""Folders that DVC looks into, so they must be there."""
_NO_GIT = "    no_scm = true\n"


def is_new(root: Path) -> bool:
    """Whether ``walt init`` has to make a project of this folder: it is not a clone, and was not made one before."""
    return not has_the_code(root) and not (root / PIPELINE_FILE).is_file()


def make_project(root: Path, descriptor: str) -> list[str]:
    """Write what is missing of a project's folder; a file that is there is left alone.

    Args:
        descriptor: of the dataset, as in ``params.yaml``; copied where it is one that comes with walt.

    Returns:
        What was written, relative to ``root``.

    Raises:
        ConfigurationError: DVC cannot begin here; the message is its own.
        StorageError: a file cannot be written.
    """
    source = shipped_files()
    wanted = {name: source / name for name in _FILES}
    wanted |= {_below(source, file): file for folder in _WATCHED for file in (source / folder).iterdir()}
    written = _copy_missing(root, wanted | _descriptor(descriptor))
    if not (root / ".dvc").is_dir():
        written.append(".dvc/config")
        _begin_dvc(root, (source / ".dvc/config").read_text(encoding="utf-8"))
    replace_file(root / PIPELINE_FILE, render(root).encode())
    return [*written, PIPELINE_FILE]


def add_descriptor(root: Path, descriptor: str) -> list[str]:
    """Write a dataset's descriptor and card that come with walt, where the project lacks them: another recipe may want
    other data than the one that the project was made with.

    Args:
        descriptor: as in ``params.yaml``.

    Returns:
        What was written, relative to ``root``.

    Raises:
        StorageError: a file cannot be written.
    """
    return _copy_missing(root, _descriptor(descriptor))


def _descriptor(descriptor: str) -> dict[str, Path]:
    source, card = shipped_files(), str(Path(descriptor).with_suffix(".md"))
    return {name: source / name for name in (descriptor, card) if (source / name).is_file()}


def _copy_missing(root: Path, wanted: dict[str, Path]) -> list[str]:
    """Copy what the folder lacks; its names."""
    written = [name for name in sorted(wanted) if not (root / name).exists()]
    for name in written:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        replace_file(root / name, wanted[name].read_bytes())
    return written


def shipped_files() -> Path:
    """The folder that has ``datasets/``, ``prefect.yaml`` and so on: the clone, or a part of the installed package."""
    installed = package_root() / "walt/project_files"
    return installed if installed.is_dir() else package_root()


def _begin_dvc(root: Path, settings: str) -> None:
    """``dvc init``: beside git where the folder is a repository, in one's subfolder, or without git; without it also
    where the repository ignores the folder, since DVC refuses that."""
    inside = _git_root(root)
    flags = ["--no-scm"] if inside is None else [] if inside == root.resolve() else ["--subdir"]
    command = [sys.executable, "-m", "dvc", "init", "--quiet", *flags]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"exit status {done.returncode}"]
        raise ConfigurationError(f"dvc init: {said[0]}")
    if inside is None:
        settings = settings.replace("[core]\n", f"[core]\n{_NO_GIT}")
    replace_file(root / ".dvc/config", settings.encode())


def _git_root(root: Path) -> Path | None:
    """Of the repository that the folder belongs to; None: there is none, or it ignores the folder."""
    command = ["git", "-C", str(root), "rev-parse", "--show-toplevel"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None
    ignored = subprocess.run(["git", "-C", str(root), "check-ignore", "--quiet", "."], capture_output=True, check=False)
    return None if ignored.returncode == 0 else Path(found).resolve()


def _below(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()
