"""Trainings in processes of their own that start in a few milliseconds, to be killed from outside.

One process has torch loaded and forks for each training, which says on its standard output what it is doing: the
caller kills it when it has said a certain thing, or after a certain time.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
RESULT = "result.json"
"""In the folder of a training that has ended: its history, and the hex bytes of each of its weights."""


_WORDS = ("step", "writing", "written", "ended", "killed")


class ForkedTrainings:
    """Starts trainings. Made by ``forked_trainings``."""

    def __init__(self, requests: IO[str], said: IO[str]) -> None:
        self._requests, self._said = requests, said

    def run(self, work: Path, kill_at: str | int | None = None, later: float = 0.0, **changes: Any) -> list[str]:
        """Train in ``work`` to the end, or until SIGKILL; what the training said, with ``ended`` or ``killed`` last.

        Args:
            kill_at: what it says right before it is killed: ``step 3`` (begins), ``writing 3``, ``written 3``; or how
                many such lines it says before; None: it is not killed.
            later: seconds from that line to SIGKILL.
            changes: of the loop's configuration; ``pair`` true trains two models.
        """
        self._requests.write(json.dumps({"work": str(work), "changes": changes}) + "\n")
        self._requests.flush()
        process, lines = int(self._said.readline()), list[str]()
        for line in map(str.strip, self._said):
            if line.partition(" ")[0] not in _WORDS:
                continue  # progress
            lines.append(line)
            if line in ("ended", "killed"):
                return lines
            if kill_at in (line, len(lines)):
                time.sleep(later)
                with suppress(ProcessLookupError):  # it has ended meanwhile, and will say so
                    os.kill(process, signal.SIGKILL)
        raise AssertionError("the server ended")


@contextmanager
def forked_trainings() -> Iterator[ForkedTrainings]:
    """A server of such processes, with one thread each."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.support.forked_trainings"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        yield ForkedTrainings(server.stdin, server.stdout)
        server.stdin.close()


def _serve() -> None:
    for name in ("tests.support.tiny_pair", "walt.training.checkpoint_writer", "torch._dynamo"):
        importlib.import_module(name)  # torch computes nothing before the forks
    importlib.import_module("tests.support.tiny_loop").loop_config()  # reads the recipe
    _say("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _train(**json.loads(line))
            os._exit(0)
        _say(str(child))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL), f"the training ended with {status}"
        _say("ended" if status == 0 else "killed")


def _train(work: str, changes: dict[str, Any]) -> None:
    import torch

    from tests.support import tiny_loop, tiny_pair
    from walt.training import checkpoint, checkpoint_writer

    os.set_blocking(1, True)
    save = checkpoint.save

    def said(folder: Path, step: int, *rest: Any, **more: Any) -> None:
        _say(f"writing {step}")
        save(folder, step, *rest, **more)
        _say(f"written {step}")

    def before(step: int) -> None:
        _say(f"step {step}")
        time.sleep(0.002)  # as long as a checkpoint takes: kills come in both

    checkpoint_writer.checkpoint.save = said
    time.sleep(0.01)  # the server says which process this is before it says anything itself
    folder = Path(work)
    config = tiny_loop.loop_config(**{key: value for key, value in changes.items() if key != "pair"})
    if changes.get("pair"):
        pair = tiny_pair.ModelAndCritic(before)
        result = pair.run(folder, config)
        weights = {**result.state_dict, **{f"critic.{key}": value for key, value in pair.critic.state_dict().items()}}
    else:
        result = tiny_loop.run(folder, config, before)
        weights = dict(result.state_dict)
    bits = {
        key: value.contiguous().view(-1).view(torch.uint8).numpy().tobytes().hex() for key, value in weights.items()
    }
    (folder / RESULT).write_text(json.dumps({"history": result.history, "weights": bits}, sort_keys=True))


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    _serve()
