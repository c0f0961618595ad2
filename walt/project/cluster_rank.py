"""One rank of a stage on several machines. ``walt.project.cluster`` starts them all, by Ray Train.

The code of the stage is that of ``walt.project.rank``; what is added is what one machine need not ask: whether the
folder is the same everywhere, whether the code is, and whether an earlier rank of this number still writes.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from walt.core import log
from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError, LockedError, StorageError, WaltError
from walt.core.paths import ARTIFACTS, Paths
from walt.core.storage import lock
from walt.project.code_identity import code_digest
from walt.project.params import Params
from walt.project.rank import run_rank
from walt.project.registry import Stage, get_stage

if TYPE_CHECKING:
    from walt.workers.train_on_ray import RankLink

NOTES = "cluster"
"""Folder in ``work/<stage>`` of what the ranks of one start share besides the stage's files; removed at its end."""
_LOOK_SECONDS = 0.5
_FOLDER_SECONDS = 10.0  # until a file that was written on one machine is seen on the others


@dataclass(frozen=True)
class SharedFolder:
    """What a machine sees of the project and of this package; it must be the same on all."""

    root: str
    token: str
    """Name of a file in ``work/<stage>/cluster`` that the stage has just written."""
    inputs: str
    """Which inputs of the stage are there. Nothing else counts: the first rank may write before the last has looked."""
    code: str
    """Digest of what computes: the stage's code, and the versions of Python and torch."""

    @classmethod
    def seen_from_here(cls, root: Path, token: str, stage: Stage) -> SharedFolder:
        """What this machine sees."""
        there = [ARTIFACTS[name] for name in stage.inputs if (root / ARTIFACTS[name]).exists()]
        code = [code_digest(stage.module), platform.python_version(), version("torch").partition("+")[0]]
        return cls(str(root), token, ", ".join(there) or "nothing", sha256_json(code))

    def as_json(self) -> dict[str, str]:
        """For a message."""
        return asdict(self)

    def check(self, stage: Stage) -> None:
        """Raise ConfigurationError unless this machine sees the same."""
        root, machine = Path(self.root), platform.node()
        token = Paths(root).work(stage.name) / NOTES / f"{self.token}.json"
        deadline = time.monotonic() + _FOLDER_SECONDS
        while not token.is_file():
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{token.parent}: {machine} does not see what this machine has written there: with compute.nodes "
                    "above 1 the project's folder, with work/, data/ and models/, must be the same on all machines"
                )
            time.sleep(_LOOK_SECONDS)
        here = self.seen_from_here(root, self.token, stage)
        if here.inputs != self.inputs:
            raise ConfigurationError(
                f"{root}: of what {stage.name} reads, {machine} sees {here.inputs}, and this machine {self.inputs}"
            )
        if here.code != self.code:
            raise ConfigurationError(f"{machine} has another version of walt's code, of Python or of torch")


def run_on_cluster(job: dict[str, Any], link: RankLink) -> None:
    """Run this process's part of a stage and report how it ended.

    Args:
        job: ``stage``; ``params``, as JSON; ``shared``, a ``SharedFolder``.

    Raises:
        RuntimeError: another rank was lost: Ray Train is to start all of them again.
    """
    from walt.training.termination import request_stop

    link.on_stop(request_stop)
    rank, stage = int(os.environ["RANK"]), get_stage(job["stage"])
    shared, params = SharedFolder(**job["shared"]), Params.model_validate_json(job["params"])
    # so nothing of ours goes to this process's own streams, Ray's log files, whose full disk can then not end it
    log.console.file = cast("TextIO", _Lines(link))
    try:
        shared.check(stage)
        os.chdir(shared.root)
        with _alone(Path(shared.root), stage, rank, 60 * params.compute.rank_timeout_minutes):
            report = run_rank(stage, Path(shared.root), params, rank, lambda: _join(params))
    except WaltError as error:
        report = {"time": time.time(), "lost": False, "status": error.exit_status, "message": str(error)}
    if trace := report.pop("trace", None):
        link.say(f"rank {rank}: {trace}")
    link.report(report, lost=report["lost"])
    if report["lost"]:
        raise RuntimeError(f"rank {rank} on {platform.node()}: {report['message']}")


def _join(params: Params) -> None:
    """Take up the process group that Ray Train has made; it has chosen the GPU too."""
    from walt.nn.collectives import join
    from walt.nn.device import select_device

    join(select_device(params.compute.device), params.compute.rank_timeout_minutes)


@contextmanager
def _alone(root: Path, stage: Stage, rank: int, seconds: float) -> Iterator[None]:
    """Hold the lock of the rank of this number: an earlier one may be cut off from the cluster, and still write.

    Raises:
        StorageError: it does so for longer than ``seconds``.
    """
    path = Paths(root).work(stage.name) / f"rank-{rank}.lock"
    deadline = time.monotonic() + seconds
    while True:
        held = lock(path)
        try:
            held.__enter__()
        except LockedError as error:
            if time.monotonic() > deadline:
                raise StorageError(f"{error}: an earlier rank {rank}, which did not end") from None
            time.sleep(_LOOK_SECONDS)
            continue
        break
    try:
        yield
    finally:
        held.__exit__(*sys.exc_info())


class _Lines:
    """A text stream that passes whole lines on to the stage."""

    def __init__(self, link: RankLink) -> None:
        self._link, self._rest = link, ""

    def write(self, text: str) -> int:
        """Take some text."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._link.say(line)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept but the beginning of a line."""

    def isatty(self) -> bool:
        """No colours, no bar that is drawn over."""
        return False
