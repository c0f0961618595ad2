"""The stages of a tiny project on two ranks, killed from outside at random moments, and run again until they end.

``python -m tests.support.killed_pipeline 200 /tmp/kills`` kills that many times and compares all outputs with those of
an undisturbed run, byte by byte. Each kill is SIGKILL to all processes of the stage, to one rank, or to the stage's own
process alone; no process of the stage may outlive it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.project import ROOT
from tests.support.tiny_loop import files_of
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
VICTIMS = ("group", "rank", "parent")
_ENDED_BY_A_KILL = {"group": -signal.SIGKILL, "rank": 4, "parent": -signal.SIGKILL}


def parameters() -> dict[str, Any]:
    """Of the tiny recipe, with trainings long enough to be killed within, and small tars and batches to share."""
    values = load_recipe("tiny").model_dump(mode="json")
    for section in ("train_autoencoder", "train_base", "train_sr_2x"):
        values[section] |= {"steps": 16, "checkpoint_every": 2, "log_every": 2}
    values["ingest"] |= {"clips_per_shard": 4, "sizes": [[16, 16], [32, 32]]}
    values["train_autoencoder"]["forms"][1]["resolution"] = [32, 32]
    values["sr_2x"] |= {"resolution": [32, 32], "latent_grid": [3, 4, 4]}
    values["sample"] |= {"count": 6, "batch_size": 1}
    values["compute"] |= {"device": "cpu", "devices": 2}
    return values | dict.fromkeys(("aspect", "finetune_aspect", "sr_4x", "train_sr_4x"))


def make_project(root: Path) -> Path:
    """A project with its clips, before the stages that are killed."""
    shutil.copytree(ROOT / "datasets", root / "datasets")
    (root / "params.yaml").write_text(json.dumps(parameters()), encoding="utf-8")
    for stage in ("prepare", "ingest"):
        finish(root, stage)
    return root


def start(root: Path, stage: str, *options: str) -> subprocess.Popen[str]:
    """Start a stage in a process group of its own, its errors in a file."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(root / "errors.txt", "w", encoding="utf-8") as errors:
        command = [sys.executable, "-m", "walt.cli", stage, *options]
        return subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=errors, text=True,
            start_new_session=True,
        )  # fmt: skip


def finish(root: Path, stage: str) -> float:
    """Run a stage to its end, which must be a good one; the seconds that it took."""
    began = time.monotonic()
    status = start(root, stage).wait()
    assert status == 0, f"{stage} ended with {status}:\n{(root / 'errors.txt').read_text(encoding='utf-8')}"
    return time.monotonic() - began


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
    """Those of the family that are ranks."""
    found = []
    for process in family:
        with suppress(psutil.NoSuchProcess):
            if "walt.project.rank" in process.cmdline():
                found.append(process)
    return found


@dataclass
class Kills:
    """What was killed so far, and at what."""

    moments: random.Random
    done: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many kills."""
        return self.done.total()

    def run(self, root: Path, stage: str, seconds: dict[str, float]) -> bool:
        """Start a stage and kill at a random moment of the seconds that it takes; whether it had ended before."""
        victim, began = self.moments.choice(VICTIMS), time.monotonic()
        process = start(root, stage)
        try:
            # half of them at any moment, half in the second half: the first goes into starting
            part = self.moments.choice((self.moments.uniform(0, 1), self.moments.uniform(0.5, 1.05)))
            process.wait(part * seconds[stage])
        except subprocess.TimeoutExpired:
            family = processes_of(psutil.Process(process.pid))
            self.done[f"{stage} {self._kill(process, victim, family)}"] += 1
            status = process.wait(120)
            said = (root / "errors.txt").read_text(encoding="utf-8")
            _, alive = psutil.wait_procs(family, timeout=60)
            assert not alive, f"{stage}: after SIGKILL to {victim} these go on: {alive}"
            if status == 0:
                return True  # the rank had done its part
            assert status in (_ENDED_BY_A_KILL[victim], -signal.SIGKILL), f"{stage}, {victim}: {status}\n{said}"
            return False
        assert process.returncode == 0, (root / "errors.txt").read_text(encoding="utf-8")
        seconds[stage] = time.monotonic() - began  # it is faster than it was
        return True

    def _kill(self, process: subprocess.Popen[str], victim: str, family: Sequence[psutil.Process]) -> str:
        ranks = ranks_of(family)
        if victim == "rank" and ranks:
            with suppress(psutil.NoSuchProcess):
                self.moments.choice(ranks).kill()
            return victim
        if victim == "parent":
            process.kill()
            return victim
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for child in family:  # ranks have sessions of their own
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return "group"


def clear(root: Path, stage: str) -> None:
    """As if the stage had never run."""
    for name in (*OUTPUTS[stage], f"work/{stage}"):
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def kill_many(folder: Path, wanted: int, seed: int = 0, until: float = float("inf")) -> Counter[str]:
    """Kill ``wanted`` times, round after round through all stages, and compare what each has made in the end.

    Args:
        until: the ``time.time()`` after which no further kill begins.

    Raises:
        AssertionError: an output differs, a process goes on, a stage ended otherwise than it must.
    """
    calm = make_project(folder / "calm")
    shutil.copytree(calm, folder / "killed")
    seconds: dict[str, float] = {}
    killed, kills = folder / "killed", Kills(random.Random(seed))
    while kills.count < wanted and time.time() < until:
        for stage in STAGES:
            if kills.count >= wanted:
                break
            if stage not in seconds:  # undisturbed, when its turn comes: few kills need few stages
                for project in (calm, killed):
                    for left_out in BEFORE.get(stage, ()):
                        finish(project, left_out)
                seconds[stage] = finish(calm, stage)
            clear(killed, stage)
            for _ in range(3 if wanted > len(STAGES) else 1):
                if kills.count >= wanted or kills.run(killed, stage, seconds):
                    break
            finish(killed, stage)
            found, expected = outputs(killed, stage), outputs(calm, stage)
            differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
            assert not differing, f"{stage} after {kills.done}: {differing}"
            assert not list((killed / "work" / stage).rglob("*.tmp")), f"{stage}: temporary files are left"
            print(f"{kills.count} kills, {stage}: the same bytes", flush=True)
    return kills.done


def main() -> None:
    """``python -m tests.support.killed_pipeline KILLS FOLDER [MINUTES]``."""
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else float("inf")
    done = kill_many(Path(sys.argv[2]), int(sys.argv[1]), until=time.time() + 60 * minutes)
    print(f"{done.total()} kills, no byte differs:")
    for what, count in sorted(done.items()):
        print(f"  {what}: {count}")


if __name__ == "__main__":
    main()
