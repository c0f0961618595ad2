"""Where a run's inputs come from: the git commit and the hashes of ``dvc.lock``. By these tags runs are found again."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from walt.core.config import read_yaml
from walt.core.log import warning

_NOT_TRUSTED = "dubious ownership"
"""What git says of a repository that another user owns, as in a container."""


def git_tags(root: Path) -> dict[str, str]:
    """``{"git.commit": ..., "git.dirty": "true" | "false"}``; empty where git, or a commit, is missing."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError) as error:  # no git, no repository, or one too slow to answer
        if _NOT_TRUSTED in (said := str(getattr(error, "stderr", ""))):
            _warn_once(said.strip().partition("\n")[0])
        return {}
    return {
        "git.commit": commit,
        "git.dirty": str(dirty).lower(),
        "mlflow.source.git.commit": commit,
    }


def uncommitted(root: Path) -> list[str]:
    """Files of the project that differ from the commit or are not in it, relative to ``root``; git's ignored ones not.

    Bytes of a name that are no UTF-8 are written out. Empty outside of a repository.
    """
    try:
        names = _git(root, "ls-files", "-z", "--modified", "--others", "--exclude-standard")
        staged = _git(root, "diff", "--cached", "--name-only", "--relative", "-z")
    except (OSError, subprocess.SubprocessError):
        return []
    return sorted({name for name in f"{names}\0{staged}".split("\0") if name})


def git_origin(root: Path) -> str | None:
    """The address of the repository that this one was cloned from, as git has it; None where there is none."""
    try:
        return _git(root, "remote", "get-url", "origin") or None
    except (OSError, subprocess.SubprocessError):
        return None


def input_hashes(root: Path, stage: str) -> dict[str, str]:
    """Path -> hash of each artefact that ``stage`` reads, as ``dvc.lock`` recorded it when it was made.

    Empty where there is no ``dvc.yaml`` or ``dvc.lock`` yet (a stage that is run by hand, before any ``dvc repro``).

    Raises:
        ConfigurationError: one of the two files is not valid YAML.
    """
    pipeline, lock = root / "dvc.yaml", root / "dvc.lock"
    if not (pipeline.is_file() and lock.is_file()):
        return {}
    recorded = {
        out["path"]: str(out["md5"])
        for made in (read_yaml(lock).get("stages") or {}).values()
        for out in made.get("outs", [])
        if "md5" in out
    }
    dependencies = read_yaml(pipeline)["stages"].get(stage, {}).get("deps", [])
    return {path: recorded[path] for path in sorted(dependencies) if path in recorded}


@cache
def _warn_once(said: str) -> None:
    warning(f"no commit is noted with what is made here, since git does not trust the folder: {said}")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    ended = subprocess.run(
        command, check=True, capture_output=True, text=True, encoding="utf-8", errors="backslashreplace", timeout=30
    )
    return ended.stdout.strip()
