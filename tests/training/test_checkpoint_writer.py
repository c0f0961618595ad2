"""Checkpoints are written while the training goes on: one at a time, of the state as it was, and no error is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.tiny_loop import STEPS, Killed, assert_same, loop_config, make_model, run
from walt.core.errors import DivergedError, StorageError
from walt.core.stopping import seconds_to_stop
from walt.training import checkpoint, checkpoint_writer
from walt.training.checkpoint import Retention
from walt.training.checkpoint_writer import CheckpointWriter

IDENTITY = {"seed": 0}


class Disk:
    """A disk that takes each checkpoint only when it is let, or fails at the one of step ``full``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, full: int | None = None) -> None:
        self.let, self.started, self.full = threading.Event(), threading.Event(), full
        self.most, self._now = 0, 0
        self._save = checkpoint.save
        monkeypatch.setattr(checkpoint_writer.checkpoint, "save", self.save)

    def save(self, work: Path, step: int, *rest: Any, **more: Any) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        self.started.set()
        try:
            assert self.let.wait(60), "nobody lets the disk write"
            if step == self.full:
                raise StorageError(f"{work}: No space left on device")
            self._save(work, step, *rest, **more)
        finally:
            self._now -= 1


@contextmanager
def writing(work: Path, **rule: Any) -> Iterator[CheckpointWriter]:
    with CheckpointWriter(work, Retention(**{"newest": 2, **rule})) as writer:
        yield writer


def loaded(work: Path) -> dict[str, Tensor]:
    found = checkpoint.load(work)
    assert found is not None
    return found.parts["model"]


def test_what_is_written_is_the_state_at_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    weight = torch.arange(6.0).reshape(2, 3).T  # strided
    expected = weight.clone()
    with writing(tmp_path) as writer:
        writer.write(1, IDENTITY, {"model": {"a": weight, "tied": weight}}, {})
        assert disk.started.wait(60)
        weight.mul_(7.0)  # the training goes on
        writer.check()
        assert checkpoint.load(tmp_path) is None
        disk.let.set()
    assert torch.equal(loaded(tmp_path)["a"], expected)
    assert torch.equal(loaded(tmp_path)["tied"], expected)


def test_a_second_one_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    threading.Timer(0.05, disk.let.set).start()
    with writing(tmp_path) as writer:
        for step in (1, 2, 3):
            writer.write(step, IDENTITY, {"model": {"a": torch.tensor(float(step))}}, {})
    assert disk.most == 1
    assert loaded(tmp_path)["a"] == 3.0


def test_an_error_surfaces_at_the_next_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, full=2)
    disk.let.set()
    with writing(tmp_path) as writer:
        writer.write(1, IDENTITY, {"model": {"a": torch.zeros(1)}}, {})
        writer.wait()
        writer.write(2, IDENTITY, {"model": {"a": torch.zeros(1)}}, {})
        with pytest.raises(StorageError, match="No space left"):
            writer.wait()
        writer.wait()  # said once
        writer.write(2, IDENTITY, {"model": {"a": torch.zeros(1)}}, {})
        with pytest.raises(StorageError, match="No space left"):
            writer.write(3, IDENTITY, {"model": {"a": torch.zeros(1)}}, {})
    assert [folder.name for folder in tmp_path.glob("step-*")] == ["step-000000001"]


def test_the_run_ends_with_the_disks_error_and_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Disk(patch, full=6).let.set()
        with pytest.raises(StorageError, match="No space left") as error:
            run(tmp_path / "a", loop_config(checkpoint_every=3))
        assert error.value.exit_status == 4
    steps: list[int] = []
    assert_same(run(tmp_path / "a", loop_config(checkpoint_every=3), steps.append), run(tmp_path / "b"))
    assert steps[0] == 3


def test_the_last_one_is_awaited_and_its_error_is_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch, full=STEPS).let.set()
    with pytest.raises(StorageError, match="No space left"):
        run(tmp_path)


def test_another_error_comes_first_and_the_disks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = Disk(monkeypatch, full=4)

    def before(step: int) -> None:
        if step == 4:
            assert disk.started.wait(60)
            disk.let.set()
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        run(tmp_path, loop_config(checkpoint_every=4), before)
    assert "the last checkpoint could not be written either" in capsys.readouterr().out


def test_training_goes_on_while_the_disk_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint of step 4 is let only in step 7, and holds what was after step 4."""
    disk, model = Disk(monkeypatch), make_model()
    states: list[dict[str, Tensor]] = []

    def before(step: int) -> None:
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        if step == 7:
            assert not list(tmp_path.glob("step-*"))
            disk.let.set()
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, loop_config(checkpoint_every=4), before, model=model)
    (folder,) = tmp_path.glob("step-*")
    found = checkpoint.load_file(folder / "model.safetensors")
    assert all(torch.equal(value, states[4][name]) for name, value in found.items())


def test_a_diverged_run_waits_for_its_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)

    def before(step: int) -> None:
        if step == 5:
            threading.Timer(0.05, disk.let.set).start()

    config = loop_config(checkpoint_every=4, skip_non_finite=0)
    with pytest.raises(DivergedError, match="the checkpoint of step 4 is kept"):
        run(tmp_path, config, before, lambda step: float("nan") if step == 5 else 1.0)
    assert (tmp_path / "step-000000004" / "manifest.json").is_file()


@pytest.mark.slow
def test_what_is_kept_follows_the_rule(tmp_path: Path) -> None:
    def kept(work: str, **rule: Any) -> list[int]:
        run(tmp_path / work, loop_config(**rule))
        return sorted(int(folder.name.removeprefix("step-")) for folder in (tmp_path / work).glob("step-*"))

    assert kept("a", keep_checkpoints=1) == [9]
    assert kept("b", keep_checkpoints=3) == [7, 8, 9]
    assert kept("c", keep_checkpoints=1, keep_every_steps=4) == [4, 8, 9]
    assert kept("d", keep_checkpoints=1, keep_every_steps=4, checkpoint_every=3) == [6, 9]


def test_hours_are_those_of_training_over_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that begins counts on from its checkpoint; the time in between does not count."""
    now = 1000.0
    monkeypatch.setattr(checkpoint_writer, "time", SimpleNamespace(monotonic=lambda: now))

    def go(rule: Retention, trained: tuple[int, float], steps: range) -> None:
        nonlocal now
        with CheckpointWriter(tmp_path, rule, trained) as writer:
            for step in steps:
                now += 600.0
                writer.write(step, IDENTITY, {"model": {"a": torch.zeros(1)}}, {})
                writer.wait()

    rule = Retention(1, every_hours=1.0)
    go(rule, (0, 0.0), range(1, 5))  # 40 minutes
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert (found.step, found.seconds) == (4, 2400.0)
    now += 1e6
    go(rule, (found.step, found.seconds), range(5, 14))  # an hour is over at step 6, two at 12
    assert sorted(folder.name[-2:] for folder in tmp_path.glob("step-*")) == ["06", "12", "13"]


def test_how_long_the_last_one_took_is_noted_for_whoever_stops_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 60.0, 100.0, 145.0])  # begun; a checkpoint of 50 seconds, one of 45
    monkeypatch.setattr(checkpoint_writer, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert seconds_to_stop(tmp_path) == 60.0
    with writing(tmp_path) as writer:
        for step, seconds in ((1, 100.0), (2, 90.0)):
            writer.write(step, IDENTITY, {"model": {"a": torch.zeros(1)}}, {})
            writer.wait()
            assert seconds_to_stop(tmp_path) == seconds


def test_a_run_that_is_resumed_counts_its_hours_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, resumed = 0.0, False

    def later(step: int) -> None:
        nonlocal now
        now += 1800.0
        if step == 5 and not resumed:
            raise Killed

    monkeypatch.setattr(checkpoint_writer, "time", SimpleNamespace(monotonic=lambda: now))
    config = loop_config(keep_checkpoints=1, keep_every_hours=2.0)
    with pytest.raises(Killed):
        run(tmp_path, config, later)
    resumed = True
    run(tmp_path, config, later)  # steps 4 and 8 end two and four hours of training
    assert sorted(folder.name[-1] for folder in tmp_path.glob("step-*")) == ["4", "8", "9"]


def test_a_checkpoint_counts_where_how_long_it_took_cannot_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that becomes read-only in between: the next checkpoint says it, and which one is kept."""

    def refused(work: Path, _: float) -> None:
        raise StorageError(f"{work}: Read-only file system")

    monkeypatch.setattr(checkpoint_writer, "note_checkpoint_seconds", refused)
    with writing(tmp_path) as writer:
        writer.write(1, IDENTITY, {"model": {"a": torch.zeros(1)}}, {})
    assert torch.equal(loaded(tmp_path)["a"], torch.zeros(1))
    said = capsys.readouterr()
    assert "how long a checkpoint takes could not be noted" in said.out + said.err
