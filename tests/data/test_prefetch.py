"""Computing ahead changes when a batch is made, never which."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.support.waiting import comes_true
from walt.data.prefetch import PrefetchedSteps, prefetch


def wait_until(condition: Callable[[], bool]) -> None:
    assert comes_true(condition, 0.001)


def prefetching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("depth", [1, 2, 20])
def test_every_step_once_in_order(depth: int) -> None:
    assert list(prefetch(lambda step: step * step, 3, 11, depth)) == [step * step for step in range(3, 11)]
    assert list(prefetch(lambda step: step, 5, 5, depth)) == []


def test_it_is_bounded_and_in_another_thread() -> None:
    done: list[int] = []
    threads = set()

    def function(step: int) -> int:
        threads.add(threading.current_thread())
        done.append(step)
        return step

    steps = prefetch(function, 0, 100, 3)
    assert next(steps) == 0
    wait_until(lambda: len(done) == 4)
    time.sleep(0.05)
    assert done == [0, 1, 2, 3]
    steps.close()
    assert threading.main_thread() not in threads
    assert len(threads) == 1
    assert not prefetching_threads()


def test_an_error_comes_at_its_step() -> None:
    steps = prefetch(lambda step: 6 // (3 - step), 0, 10, 4)
    assert [next(steps) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(steps)
    assert not prefetching_threads()


def test_steps_by_number_after_jumps_and_errors() -> None:
    calls: list[int] = []

    def function(step: int) -> int:
        calls.append(step)
        if step == 7 and calls.count(7) == 1:
            raise OSError("once")
        return step * 10

    with PrefetchedSteps(function, stop=9, depth=2) as batches:
        assert [batches(step) for step in (0, 1, 2, 5, 6)] == [0, 10, 20, 50, 60]
        with pytest.raises(OSError, match="once"):
            batches(7)
        assert [batches(step) for step in (7, 8, 0)] == [70, 80, 0]
        with pytest.raises(ValueError, match="step 9"):
            batches(9)
    assert not prefetching_threads()


def test_a_depth_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        next(prefetch(lambda step: step, 0, 1, 0))
