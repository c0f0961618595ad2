"""Stages as processes, on two ranks: one that hangs, choices that are made once, kills, data that change; and a rescue
from NaN.

How a person starts them, each process with its imports, is in ``test_launcher.py``.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import injected_hang, injected_nan
from tests.support.forked_stages import ForkedStages
from tests.support.killed_pipeline import kill_many
from tests.support.ranks_project import set_parameters, steps_saved, wait_for, weights, write_project
from tests.support.tiny_loop import files_of
from tests.support.waiting import SECONDS
from walt.core.stopping import seconds_to_stop
from walt.core.storage import read_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
LONG = {"steps": 30, "batch_size": 8, "checkpoint_every": 1, "log_every": 1}


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    """Of trainings that are stopped on the way."""
    return on_disk


def stop_early(stages: ForkedStages, root: Path) -> int:
    """Start the base model's training and stop it after its first checkpoint; the steps that are done."""
    process = stages(root, "train-base")
    wait_for(process, lambda: steps_saved(root / "work/train-base"))
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate()
    assert process.wait() == 143, errors
    done = max(steps_saved(root / "work/train-base"))
    assert done < LONG["steps"]
    return done


def checkpoints(work: Path) -> dict[str, str]:
    """Digests of what is in ``work/<stage>``, but for the lock, which names the last process."""
    return {name: digest for name, digest in files_of(work).items() if name != "lock"}


def test_a_rank_that_hangs_is_named_and_ended_and_the_next_start_ends_in_the_same_bytes(
    tmp_path: Path, empty_database: Path, stages: ForkedStages
) -> None:
    settings: dict[str, Any] = {"train_base": LONG, "compute": {"devices": 2, "rank_timeout_minutes": 0.5}}
    calm = write_project(tmp_path / "calm", empty_database, **settings)
    stages.finish(calm, "train-base")
    root = write_project(tmp_path / "hung", empty_database, **settings)
    process = stages(root, "train-base")
    wait_for(process, lambda: steps_saved(root / "work/train-base"))
    family = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.ranks()[1], signal.SIGSTOP)
    stopped = time.monotonic()
    _, errors = process.communicate()
    assert process.wait() == 4, errors
    seconds = time.monotonic() - stopped
    assert seconds < 30 + seconds_to_stop(root / "work/train-base"), "it was torch that ended it, much later"
    assert errors.splitlines()[-1].startswith(
        "walt: rank 1 of 2 did not answer for 0.5 minutes (compute.rank_timeout_minutes), and was ended: rank 1 at "
    )
    assert "Traceback" not in errors
    assert not psutil.wait_procs(family, timeout=SECONDS)[1], "a process goes on"
    assert max(steps_saved(root / "work/train-base")) < LONG["steps"]
    assert "resumed at step" in stages.finish(root, "train-base")
    assert files_of(root / "models/base") == files_of(calm / "models/base")


def test_where_a_rank_hangs_in_the_code_is_kept(tmp_path: Path, empty_database: Path, stages: ForkedStages) -> None:
    settings: dict[str, Any] = {"train_base": LONG, "compute": {"devices": 2, "rank_timeout_minutes": 0.5}}
    root = write_project(tmp_path, empty_database, **settings)
    process = stages(root, "train-base", module=injected_hang.__name__)
    _, errors = process.communicate()
    assert process.wait() == 4, errors
    stack, done = root / "work/train-base/rank-1-stack.txt", injected_hang.FIRST_STEP
    message = (
        "walt: rank 1 of 2 did not answer for 0.5 minutes (compute.rank_timeout_minutes), and was ended: "
        f"rank 1 at {done}/30 steps; where it was in the code is in {stack}; run again"
    )
    assert errors.splitlines()[-1].startswith(message)
    assert stack.read_text().startswith(f"rank 1 at {done}/30 steps, ended by SIGKILL\n")
    assert "in wait_for_ever" in stack.read_text()
    assert max(steps_saved(root / "work/train-base")) == done


def test_go_on_and_afresh_are_decided_once_for_all_ranks(
    tmp_path: Path, empty_database: Path, stages: ForkedStages
) -> None:
    def rate(value: float, **more: Any) -> None:
        optimizer = {"optimizer": {**PLAIN, "learning_rate": value}}
        set_parameters(root, train_base={**LONG, **optimizer}, compute={"devices": 2}, **more)

    root = write_project(tmp_path, empty_database, train_base=LONG, compute={"devices": 2})
    work, model = root / "work/train-base", root / "models/base"
    PLAIN = read_json(root / "params.yaml")["train_base"]["optimizer"]
    at = stop_early(stages, root)

    rate(5e-5)
    before = checkpoints(work)
    process = stages(root, "train-base")
    _, errors = process.communicate()
    assert process.wait() == 2
    assert [line.startswith("walt: train-base: the checkpoint of step") for line in errors.splitlines()] == [True]
    assert checkpoints(work) == before, "a refusal changes nothing"

    printed = stages.finish(root, "train-base", "--go-on")
    assert printed.count("learning_rate") == 1
    (change,) = read_json(model / "changes.json")
    assert change["step"] == at
    assert change["differences"] == [f"train_base.optimizer.learning_rate {PLAIN['learning_rate']} -> 5e-05"]
    assert not (work / "set-aside").exists()

    stages.finish(root, "train-base", "--afresh")
    of_one_go = weights(model)
    assert sorted(path.name for path in (work / "set-aside").iterdir()) == ["0001"]
    assert read_json(work / "set-aside/0001/why.json")["why"] == "asked for by --afresh"
    assert not (model / "changes.json").exists()

    rate(1e-5, resume={"if_different": "afresh"})  # a rank decides, after it has seen what differs
    printed = stages.finish(root, "train-base")
    assert printed.count("starting from step 0") == 1
    assert sorted(path.name for path in (work / "set-aside").iterdir()) == ["0001", "0002"]
    assert not (model / "changes.json").exists()
    assert any((value != of_one_go[name]).any() for name, value in weights(model).items())


def test_a_diverged_run_is_rescued_by_a_lower_rate(tmp_path: Path, empty_database: Path, stages: ForkedStages) -> None:
    def settings(value: float) -> dict[str, Any]:
        return {**LONG, "steps": 12, "skip_non_finite": 2, "optimizer": {**PLAIN, "learning_rate": value}}

    root = write_project(tmp_path, empty_database)
    PLAIN = read_json(root / "params.yaml")["train_base"]["optimizer"]
    work, good = root / "work/train-base", injected_nan.FIRST_BAD_STEP
    set_parameters(root, train_base=settings(1e-3))
    for _ in range(2):  # as it is, it ends at the same place
        process = stages(root, "train-base", module=injected_nan.__name__)
        printed, errors = process.communicate()
        assert process.wait() == 7, errors
        assert f"the checkpoint of step {good} is kept" in errors.splitlines()[-1]
        assert "after 2 in a row that were skipped" in errors
        assert printed.count("is skipped: ") == 2
        assert max(steps_saved(work)) == good
    assert not (root / "models/base").exists()
    set_parameters(root, train_base=settings(1e-5))
    process = stages(root, "train-base", module=injected_nan.__name__)
    process.communicate()
    assert process.wait() == 2
    process = stages(root, "train-base", "--go-on", module=injected_nan.__name__)
    printed, errors = process.communicate()
    assert process.wait() == 0, errors
    assert f"resumed at step {good}" in printed
    (change,) = read_json(root / "models/base/changes.json")
    assert change["step"] == good
    assert max(line["step"] for line in read_json(root / "models/base/history.json")) == 12


def test_a_tar_that_is_overwritten_while_it_is_read_ends_the_run_before_it_is_learnt_from(
    tmp_path: Path, empty_database: Path, stages: ForkedStages
) -> None:
    """In place, so that it stays open. With the bytes back, the result is that of a run that saw no others."""
    settings: dict[str, Any] = {"train_base": {**LONG, "validation": None}, "compute": {"devices": 2}}  # which opens it
    calm = write_project(tmp_path / "calm", empty_database, **settings)
    stages.finish(calm, "train-base")
    root = write_project(tmp_path / "changed", empty_database, **settings)
    contents = {tar: tar.read_bytes() for tar in (root / "data/latents/16x16").glob("*.tar")}
    process = stages(root, "train-base")
    wait_for(process, lambda: steps_saved(root / "work/train-base"))
    for tar, content in contents.items():
        other = bytearray(content)
        other[-1] ^= 1  # behind the last member: all that is read is as before
        with open(tar, "r+b") as stream:
            stream.write(other)
    _, errors = process.communicate()
    assert process.wait() == 5, errors
    message = r"walt: .*/latents/16x16/.*\.tar: its sha256 differs from the index; it was changed while it was in use$"
    assert re.fullmatch(message, errors.splitlines()[-1])
    assert "Traceback" not in errors
    assert max(steps_saved(root / "work/train-base")) < LONG["steps"]
    assert not (root / "models/base").exists()
    for tar, content in contents.items():
        tar.write_bytes(content)
    assert "resumed at step" in stages.finish(root, "train-base")
    assert files_of(root / "models/base") == files_of(calm / "models/base")


@pytest.mark.timeout(1200)
def test_kills_at_random_moments_of_all_stages(tmp_path: Path, stages: ForkedStages) -> None:
    assert kill_many(stages, tmp_path, 3).count == 3
