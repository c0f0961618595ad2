"""SIGKILL from outside at any moment, also while a checkpoint is being written: the result is the same, bit by bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_trainings import RESULT, ForkedTrainings, forked_trainings

pytestmark = pytest.mark.slow  # tests/training/test_loop.py has runs that stop anywhere and resume, in its own process

NEVER_THE_SAME = {"manifest.json", "stopping.json"}
"""Files that say how long something took."""


@pytest.fixture(scope="module")
def trainings() -> Iterator[ForkedTrainings]:
    with forked_trainings() as found:
        yield found


def files(work: Path) -> dict[str, bytes]:
    """The result and the checkpoints that are left. After a kill there may be older ones, which no start removes."""
    found = {path.relative_to(work).as_posix(): path for path in work.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if path.name not in NEVER_THE_SAME}


@pytest.fixture(scope="module")
def undisturbed(trainings: ForkedTrainings, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, dict[str, bytes]]:
    """What is left by a training of one model (False) and of two."""
    works = {pair: tmp_path_factory.mktemp("undisturbed") for pair in (False, True)}
    for pair, work in works.items():
        assert trainings.run(work, pair=pair)[-1] == "ended"
    return {pair: files(work) for pair, work in works.items()}


@pytest.mark.parametrize(
    ("moment", "pair"),
    [
        ("step 1", False),
        ("step 2", False),  # in the middle of the first epoch
        ("step 3", False),  # holds its edge
        ("step 5", False),  # in the middle of the second
        ("step 5", True),
        ("writing 1", False),
        ("writing 4", True),
        ("written 4", False),
        ("writing 9", False),
    ],
)
def test_a_training_that_is_killed_ends_the_same(
    trainings: ForkedTrainings, on_disk: Path, undisturbed: dict[bool, dict[str, bytes]], moment: str, pair: bool
) -> None:
    assert trainings.run(on_disk, kill_at=moment, pair=pair)[-1] == "killed"
    assert RESULT not in files(on_disk)
    assert trainings.run(on_disk, pair=pair)[-1] == "ended"
    assert files(on_disk).items() >= undisturbed[pair].items()


def test_it_goes_on_from_the_checkpoint_before_the_one_that_was_cut_off(
    trainings: ForkedTrainings, on_disk: Path
) -> None:
    trainings.run(on_disk, kill_at="writing 6", checkpoint_every=3)
    assert trainings.run(on_disk, checkpoint_every=3)[0] in ("step 3", "step 6")  # it may have been faster
    assert not list(on_disk.glob("*.tmp"))


def kill_at_random(trainings: ForkedTrainings, work: Path, moments: random.Random, **changes: Any) -> int:
    """Kill one training at random moments until it happens to end; how often it was killed."""
    for kills in range(1000):
        if trainings.run(work, moments.randint(1, 12), moments.uniform(0.0, 0.005), **changes)[-1] == "ended":
            return kills
    raise AssertionError("it makes no progress")


@pytest.mark.parametrize("changes", [{}, {"pair": True, "checkpoint_every": 2}, {"keep_every_steps": 2, "pair": True}])
def test_many_kills_at_random_moments(trainings: ForkedTrainings, tmp_path: Path, changes: dict[str, Any]) -> None:
    moments, kills, round_ = random.Random(0), 0, 0
    trainings.run(tmp_path / "undisturbed", **changes)
    expected = files(tmp_path / "undisturbed")
    while kills < 70:
        kills += kill_at_random(trainings, tmp_path / str(round_), moments, **changes)
        assert files(tmp_path / str(round_)).items() >= expected.items()
        round_ += 1
