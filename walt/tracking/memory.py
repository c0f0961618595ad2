"""Which MLflow run a stage was writing to, kept until it finishes: a stage that continues after a kill is one run.

So is one whose figures MLflow could not take from the start, and one that was killed before it was told the run's id:
the name of its first start is kept, which is a tag of the run.
"""

from __future__ import annotations

from pathlib import Path

from walt.core.digests import sha256_json
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json
from walt.tracking.spool import Record

FINISHED = "finished-run.json"


class RunMemory:
    """``work/<stage>/run.json``, beside the stage's checkpoints."""

    def __init__(self, root: Path, description: Record, course: str | None) -> None:
        """``course``: what tells this work from other work with the same parameters and inputs; None: nothing."""
        self._file = Paths(root).work(description["name"]) / "run.json"
        self._identity = sha256_json([description["params"], description["inputs"], *([course] if course else [])])
        kept = read_json(self._file) if self._file.is_file() else {}
        self.earlier: str | None = kept.get("run_id")
        """MLflow's name of the run that did not finish; None where it has none yet."""
        self.origin: str | None = kept.get("origin")
        """Name of the start that such a run is, or will be, made of."""
        self.continues = kept.get("identity") == self._identity
        """Whether that run was of this work; if not, its curves do not belong to this run."""

    def keep(self, run_id: str | None, origin: str | None = None) -> None:
        """Record this as the run of the stage: MLflow's id, or the start that it is made of. Raises StorageError."""
        write_json(self._file, {"run_id": run_id, "origin": origin, "identity": self._identity})

    def forget(self) -> None:
        """The run finished: the next one does not continue it."""
        if self._file.is_file():
            self._file.replace(self._file.with_name(FINISHED))


def forget_finished(root: Path, stage: str) -> None:
    """Forget which run of a stage finished last."""
    (Paths(root).work(stage) / FINISHED).unlink(missing_ok=True)


def finished_run(root: Path, stage: str) -> str | None:
    """MLflow's name of the run of a stage that finished since ``forget_finished``; None where it has none."""
    file = Paths(root).work(stage) / FINISHED
    found: str | None = read_json(file)["run_id"] if file.is_file() else None
    return found
