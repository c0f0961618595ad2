"""The stages of a tiny project on two ranks, killed from outside at random moments, and run again until they end.

``python -m tests.support.killed_pipeline 200 /tmp/kills`` kills that many times and compares all outputs with those of
an undisturbed run, byte by byte. A stage is killed several times before it may end: after a random time, or right at a
random change of a file, as of a checkpoint, a tar or MLflow's database. Each kill is SIGKILL to all processes of the
stage, to one rank, to all ranks, or to the stage's own process alone; no process of the stage may outlive it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.file_events import FileEvents
from tests.support.forked_stages import ForkedStages, forked_stages
from tests.support.project import ROOT
from tests.support.tiny_loop import files_of
from tests.support.waiting import SECONDS
from walt.project.recipes import load_recipe

STAGES = ("train-autoencoder", "encode-text", "encode-video", "train-base", "train-sr-2x", "sample", "evaluate")
"""Those that spread over ranks, in their order."""
OUTPUTS = {
    "train-autoencoder": ("models/autoencoder",),
    "encode-text": ("data/text", "models/text-encoder"),
    "encode-video": ("data/latents",),
    "train-base": ("models/base",),
    "train-sr-2x": ("models/sr-2x",),
    "sample": ("results/samples",),
    "evaluate": ("results/evaluation.json",),
}
BEFORE = {"encode-text": ("caption",), "sample": ("finetune-aspect", "train-sr-4x")}
"""Stage -> those before it that are left out in this project, and that none of ``STAGES`` before it asks about."""
VICTIMS = ("group", "rank", "ranks", "parent")
_ENDED_BY_A_KILL = {"group": -signal.SIGKILL, "rank": 4, "ranks": 4, "parent": -signal.SIGKILL}
TWICE = "SELECT key, step, COUNT(*) FROM metrics GROUP BY run_uuid, key, step HAVING COUNT(*) > 1"
"""Curves in MLflow's database with several points of one step."""
_IN_A_ROW = 12
"""Kills of a stage before it may end, at most."""


def parameters() -> dict[str, Any]:
    """Of the tiny recipe, with trainings long enough to be killed within, small tars and batches to share, and nothing
    that only takes time."""
    values = load_recipe("tiny").model_dump(mode="json")
    for section in ("train_autoencoder", "train_base", "train_sr_2x"):
        values[section] |= {"steps": 16, "checkpoint_every": 2, "log_every": 2, "validation": None}
    values["ingest"] |= {"clips_per_shard": 4, "sizes": [[16, 16], [32, 32]]}
    values["train_autoencoder"]["forms"][1]["resolution"] = [32, 32]
    values["sr_2x"] |= {"resolution": [32, 32], "latent_grid": [3, 4, 4]}
    values["sample"] |= {"count": 6, "batch_size": 1}
    values["compute"] |= {"device": "cpu", "devices": 2}
    return values | dict.fromkeys(("aspect", "finetune_aspect", "sr_4x", "train_sr_4x"))


def make_project(start: ForkedStages, root: Path) -> Path:
    """A project with its clips, before the stages that are killed."""
    shutil.copytree(ROOT / "datasets", root / "datasets")
    (root / "params.yaml").write_text(json.dumps(parameters()), encoding="utf-8")
    for stage in ("prepare", "ingest"):
        finish(start, root, stage)
    return root


@dataclass
class Effort:
    """What a stage takes that is left alone."""

    seconds: float
    changes: int
    """Of files."""


def finish(start: ForkedStages, root: Path, stage: str) -> Effort:
    """Run a stage to its end, which must be a good one."""
    began, changes = time.monotonic(), 0
    with FileEvents(root) as events:
        process = start(root, stage)
        while process.poll() is None:
            changes += events.wait(1, seconds=0.02) is not None
        changes += events.count()
    assert process.wait() == 0, f"{stage} ended with {process.wait()}:\n{said(root)}"
    return Effort(time.monotonic() - began, changes)


def said(root: Path) -> str:
    """The errors of the last start."""
    return (root / "errors.txt").read_text(encoding="utf-8")


def outputs(root: Path, stage: str) -> dict[str, str]:
    """File -> digest, of everything that a stage has made."""
    found: dict[str, str] = {}
    for name in OUTPUTS[stage]:
        folder = root / name
        files = files_of(folder) if folder.is_dir() else {"": files_of(folder.parent)[folder.name]}
        found |= {f"{name}/{file}": digest for file, digest in files.items()}
    return found


def processes_of(process: psutil.Process) -> list[psutil.Process]:
    """A process and all below it that still run."""
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def ranks_of(family: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those of the family, of whom the first is the stage's own process, that are ranks: they have sessions."""
    found = []
    for process in family[1:]:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if process.ppid() == family[0].pid and os.getsid(process.pid) == process.pid:
                found.append(process)
    return found


@dataclass
class Kills:
    """What was killed so far, and at what."""

    moments: random.Random
    done: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    """What was being written at the kills at a change of a file."""

    @property
    def count(self) -> int:
        """How many kills."""
        return self.done.total()

    def run(self, start: ForkedStages, root: Path, stage: str, effort: Effort) -> bool:
        """Start a stage and kill at a random moment; whether it had ended before, and then how fast it was is noted.

        Half of the moments are in what is left after earlier kills of the stage, so early.
        """
        victim, in_writing = self.moments.choice(VICTIMS), self.moments.random() < 0.6
        part = self.moments.choice((1.0, self.moments.random())) * self.moments.random()
        with FileEvents(root) as events:
            began, process = time.monotonic(), start(root, stage)
            if in_writing:
                path = events.wait(
                    1 + int(part * effort.changes), 1.2 * effort.seconds, unless=lambda: process.poll() is not None
                )
            else:
                path = None
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1.05 * part * effort.seconds)
        if process.poll() is None:
            family = processes_of(psutil.Process(process.pid))
            victim = self._kill(process.pid, victim, family)
            status = process.wait(SECONDS)
            _, alive = psutil.wait_procs(family, timeout=SECONDS)
            assert not alive, f"{stage}: after SIGKILL to {victim} these go on: {alive}"
            # a rank may have done its part, or the stage may have ended meanwhile
            assert status in (0, _ENDED_BY_A_KILL[victim], -signal.SIGKILL), (
                f"{stage}, {victim}: {status}\n{said(root)}"
            )
            self.done[f"{stage} {victim}"] += 1
            self.places[place_of(path, root)] += 1
            print(f"{self.count}: {stage}: SIGKILL to {victim} {place_of(path, root)}", flush=True)
            return status == 0
        assert process.wait() == 0, said(root)
        effort.seconds = min(effort.seconds, time.monotonic() - began)
        return True

    def _kill(self, pid: int, victim: str, family: Sequence[psutil.Process]) -> str:
        ranks = ranks_of(family)
        if victim == "rank" and ranks:
            ranks = [self.moments.choice(ranks)]
        elif victim == "parent":
            ranks = list(family[:1])
        elif victim != "ranks" or not ranks:
            victim, ranks = "group", list(family)  # ranks have sessions of their own
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        for process in ranks:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return victim


def place_of(path: Path | None, root: Path) -> str:
    """What kind of file is written there, for a table."""
    if path is None:
        return "at a random time"
    name = path.relative_to(root).as_posix()
    kinds = {"mlflow.db": "MLflow's database", "mlartifacts": "MLflow's artifacts", "step-": "a checkpoint",
             ".tar": "a tar", "lock": "a lock", "result": "results", "data/": "data", "models/": "a model"}  # fmt: skip
    return next((f"at a change of {kind}" for part, kind in kinds.items() if part in name), "at a change of work/")


def clear(root: Path, stage: str) -> None:
    """As if the stage had never run."""
    for name in (*OUTPUTS[stage], f"work/{stage}"):
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def check(root: Path, calm: Path, stage: str, kills: Kills, temporary: Path) -> None:
    """Compare what a stage has made, look for what it and its killed starts have left, and at the database, which was
    written all the time.

    Raises:
        AssertionError: an output differs, temporary files are left, the database is damaged, or a curve in it has a
            step twice.
    """
    found, expected = outputs(root, stage), outputs(calm, stage)
    differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    assert not differing, f"{stage} after {kills.done}: {differing}"
    for folder in (root / "work" / stage, *((root / name).parent for name in OUTPUTS[stage])):
        left = [str(path) for path in (*folder.rglob("*.tmp"), *temporary.glob("walt-*"))]
        assert not left, f"{stage}: temporary files are left: {left}"
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        twice = database.execute(TWICE).fetchall()
        assert not twice, f"{stage} after {kills.done}: MLflow has points twice: {twice}"


def kill_many(start: ForkedStages, folder: Path, wanted: int, seed: int = 0, until: float = float("inf")) -> Kills:
    """Kill ``wanted`` times, round after round through all stages, and compare what each has made in the end.

    Args:
        until: the ``time.time()`` after which no further kill begins.

    Raises:
        AssertionError: an output differs, a process goes on, a stage ended otherwise than it must.
    """
    began = time.monotonic()
    calm = make_project(start, folder / "calm")
    shutil.copytree(calm, folder / "killed")
    efforts: dict[str, Effort] = {}
    killed, kills = folder / "killed", Kills(random.Random(seed))
    while kills.count < wanted and time.time() < until:
        for stage in STAGES:
            if kills.count >= wanted or time.time() > until:
                break
            if stage not in efforts:  # undisturbed, when its turn comes: few kills need few stages
                for project in (calm, killed):
                    for left_out in BEFORE.get(stage, ()):
                        finish(start, project, left_out)
                efforts[stage] = finish(start, calm, stage)
            clear(killed, stage)
            for _ in range(_IN_A_ROW if wanted > len(STAGES) else 1):
                if kills.count >= wanted or kills.run(start, killed, stage, efforts[stage]):
                    break
            finish(start, killed, stage)
            check(killed, calm, stage, kills, start.temporary)
            print(f"{stage} after {kills.count} kills: the same bytes, {time.monotonic() - began:.0f} s", flush=True)
    return kills


def main() -> None:
    """``python -m tests.support.killed_pipeline KILLS FOLDER [MINUTES [SEED]]``."""
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else float("inf")
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    with forked_stages() as start:
        kills = kill_many(start, Path(sys.argv[2]), int(sys.argv[1]), seed, time.time() + 60 * minutes)
    print(f"{kills.count} kills, no byte differs:")
    for what, count in [*sorted(kills.done.items()), *sorted(kills.places.items())]:
        print(f"  {what}: {count}")


if __name__ == "__main__":
    main()
