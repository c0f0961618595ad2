"""What can go, and its removal.

Nothing goes while a stage, a flow or an experiment works in the project: its locks are held meanwhile. What goes is
first renamed into ``work/gc``, which takes all of it or nothing, and then removed; what a killed run left there goes
the next time.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from walt.commands.gc.stores import unused_in_dvc, unused_in_mlflow
from walt.core.paths import ARTIFACTS, Paths
from walt.core.storage import TEMPORARY_SUFFIX, lock, storage_errors
from walt.pages.formats import num_bytes
from walt.project.params import Params
from walt.project.registry import STAGE_NAMES, STAGES
from walt.project.runner import load_params
from walt.training.continuation import is_published
from walt.training.set_aside import checkpoints, old_set_aside

_TRASH = "gc"
_SETTLED_SECONDS = 24 * 3600.0
"""A temporary file, or a model without a version, that changed later than this before may still be somebody's."""


@dataclass(frozen=True)
class Wanted:
    """What a person wants to go besides what nothing refers to."""

    caches: bool = False
    checkpoints: bool = False


@dataclass(frozen=True)
class Garbage:
    """Files of one kind, and why they can go."""

    kind: str
    why: str
    paths: tuple[Path, ...]

    def size(self) -> int:
        """Bytes on disk that become free: files that have another name elsewhere free none."""
        inside: dict[tuple[int, int], tuple[int, int, int]] = {}
        for path in self.paths:
            for file in _files(path):
                about = file.lstat()
                place = (about.st_dev, about.st_ino)
                names = inside.get(place, (0, 0, 0))[0] + 1
                inside[place] = (names, about.st_nlink, about.st_blocks * 512)
        return sum(size for names, links, size in inside.values() if names >= links)


def collect(root: Path, wanted: Wanted) -> list[Garbage]:
    """What can go, by kind.

    Raises:
        ConfigurationError: there is no ``params.yaml`` here, or it is wrong.
        StorageError: MLflow or DVC cannot say what is needed.
    """
    params, paths = load_params(root), Paths(root)
    runs, models = unused_in_mlflow(params, root, _SETTLED_SECONDS)
    found = [
        Garbage("leftovers of walt gc", "a run that was killed had begun to remove them", _trash(root)),
        Garbage("temporary files", "a killed run left them, more than a day ago", tuple(_temporary(root))),
        Garbage("checkpoints set aside", f"older than the {params.resume.kept_set_aside} newest of their stage "
                "(resume.kept_set_aside)", tuple(_set_aside(params, paths))),
        Garbage("files of deleted runs", "somebody deleted the runs in MLflow", tuple(runs)),
        Garbage("models without a version", "they were never registered, or somebody deleted their versions in MLflow",
                tuple(models)),
        Garbage("objects in DVC's cache", "no branch, tag, experiment, promoted release or file here is made of them",
                unused_in_dvc(params, root)),
    ]  # fmt: skip
    if wanted.checkpoints:
        why = "their model is published; without them a training cannot be made longer"
        found.append(Garbage("checkpoints of finished trainings", why, tuple(_finished(paths))))
    if wanted.caches:
        found += _caches(paths)
    return [one for one in found if one.paths]


def remove(root: Path, wanted: Wanted) -> list[Garbage]:
    """Remove what can go; what that was, to be shown.

    Raises:
        LockedError: a stage, a flow or another ``walt gc`` works in this project; nothing was removed.
        ConfigurationError, StorageError: as ``collect``; also where a file cannot be removed.
    """
    with ExitStack() as held:
        names = [Paths(root).flow_lock, *(Paths(root).work(name) / "lock" for name in STAGE_NAMES)]
        for name in names:
            held.enter_context(lock(name))
        found = [_Measured(one.kind, one.why, one.paths, one.size()) for one in collect(root, wanted)]
        trash = root / "work" / _TRASH
        with storage_errors(trash):
            trash.mkdir(parents=True, exist_ok=True)
            for path in dict.fromkeys(path for one in found for path in one.paths):
                if path.parent != trash:
                    _set_free(path, trash)
            shutil.rmtree(trash)
    return list(found)


def _set_free(path: Path, trash: Path) -> None:
    """Put it where the next ``walt gc`` goes on, should this one be killed; on another disk it is removed where it is.

    DVC's cache, MLflow's files and ``work`` may each be on one of their own.
    """
    try:
        path.rename(trash / f"{time.time_ns()}-{path.name}")
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if path.is_dir() and not path.is_symlink():  # first to a name that nothing takes for the whole
            shutil.rmtree(path.rename(path.with_name(f"{path.name}{TEMPORARY_SUFFIX}")))
        else:
            path.unlink()


@dataclass(frozen=True)
class _Measured(Garbage):
    """What was removed, with its bytes before."""

    bytes: int

    def size(self) -> int:
        return self.bytes


def lines(found: Iterable[Garbage], root: Path, removed: bool) -> Iterator[str]:
    """What people read of it: a line for each kind, and an example."""
    total = 0
    for one in found:
        size = one.size()
        total += size
        example = os.path.relpath(one.paths[0], root)
        yield f"{num_bytes(size):>10}  {one.kind}: {len(one.paths)}, such as {example}; {one.why}"
    verb = "removed" if removed else "could go; --yes removes it"
    yield f"{num_bytes(total):>10}  in all {verb}" if total or removed else "nothing can go"


def _trash(root: Path) -> tuple[Path, ...]:
    trash = root / "work" / _TRASH
    return tuple(sorted(trash.iterdir())) if trash.is_dir() else ()


def _temporary(root: Path) -> Iterator[Path]:
    """Below the artefacts, not below data that the user brought. A folder counts as a whole."""
    latest = time.time() - _SETTLED_SECONDS
    for place in dict.fromkeys([*ARTIFACTS.values(), "models", "work"]):
        for folder, folders, names in os.walk(root / place):
            for name in [*folders, *names]:
                path = Path(folder) / name
                if name.endswith(TEMPORARY_SUFFIX) and path.lstat().st_mtime < latest:
                    yield path
            folders[:] = [name for name in folders if not name.endswith(TEMPORARY_SUFFIX)]


def _set_aside(params: Params, paths: Paths) -> Iterator[Path]:
    for stage in STAGES:
        yield from old_set_aside(paths.work(stage.name), params.resume.kept_set_aside)


def _finished(paths: Paths) -> Iterator[Path]:
    for stage in STAGES:
        yield from (path for path in checkpoints(paths.work(stage.name)) if is_published(path))


def _caches(paths: Paths) -> Iterator[Garbage]:
    cut, features = paths.work("ingest") / "sources", paths.work("evaluate") / "features"
    fetched = paths.work("promote") / "fetched"
    for kind, path, price in (
        ("cut clips", cut, "the next ingest decodes all sources again"),
        ("features of real clips", features, "the next evaluation computes them again"),
        ("fetched models", fetched, "MLflow has them"),
    ):
        if path.is_dir():
            yield Garbage(kind, price, (path,))


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        for folder, _, names in os.walk(path):
            yield from (Path(folder) / name for name in names)
    else:
        yield path
