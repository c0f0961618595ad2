"""The stage ``ingest``, watched or killed at each write to disk: also what child processes of such tests run."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.ingest_project import config, outputs
from tests.support.places import Place, ingest_at
from tests.support.watched_writes import announce
from walt.core import remote
from walt.stages import ingest


def in_small_parts(work: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    """With several parts of the manifest."""

    def working(root: Path) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingest, "MOST_PART_ROWS", 6)
            return work(root)

    return working


@in_small_parts
def run(root: Path) -> dict[str, Any]:
    """The stage with two clips per tar and six rows per part of the manifest."""
    return ingest_at(root, config(clips_per_shard=2))


TRIALS = {"local": 5, "s3-faults": 2}
"""Projects that are killed at random writes, by the name of their place."""
HERE = ((os, "fsync"), (Path, "replace"), (Path, "write_bytes"), (Path, "unlink"))
"""Calls that write to this machine's disk."""
ELSEWHERE = ((remote, "download"), (remote, "upload"), (remote, "remove"))
"""Calls that change a bucket, or bring its files here."""


def at_each_write(
    root: Path, act: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, calls: tuple[tuple[Any, str], ...] = HERE
) -> int:
    """Run the stage; ``act`` is called with a running number before each flush, rename and removal of a file."""
    with monkeypatch.context() as patch:
        count = announce(calls, act, patch)
        run(root)
        return count()


def kill_at(moment: int, count: int) -> None:
    """End this process if ``count`` has come to ``moment``."""
    if count == moment:
        os.kill(os.getpid(), 9)


def killed_again_and_again(template: Path, folder: Path, place: Place, seed: int) -> None:
    """Runs in a process of its own. Prints, as JSON, how often the stage was killed and what it made in the end."""
    patch = pytest.MonkeyPatch()
    calls = HERE + ELSEWHERE
    whole = place.settle(Path(shutil.copytree(template, folder / "whole")))
    writes = at_each_write(whole, lambda _: None, patch, calls)
    chance = random.Random(seed)
    kills, made = 0, []
    for trial in range(TRIALS[place.name]):
        moments = [[1], [writes - 1]][trial] if trial < 2 else []
        root = place.settle(Path(shutil.copytree(template, folder / str(trial))))
        while True:
            # at random, after the first or last: a later run has fewer, so that sooner or later one comes through
            moment = moments.pop() if moments else chance.randint(1, writes)
            child = os.fork()
            if not child:
                os.environ["AWS_OF_A_CHILD"] = "another environment, so other connections than the parent's"
                at_each_write(root, partial(kill_at, moment), patch, calls)
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 0
                break
            kills += 1
        run(root)
        made.append(outputs(root))
    print(json.dumps({"kills": kills, "writes": writes, "made": made}))
