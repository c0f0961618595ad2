"""Mapping over items: order, bounds, and items that hang, crash or eat the memory."""

from __future__ import annotations

import errno
import importlib
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.waiting import comes_true
from tests.support.worker_tasks import compute, task
from walt.core.errors import ConfigurationError, StorageError
from walt.workers import execute, killable
from walt.workers.execute import map_items
from walt.workers.killable import Workers, seconds_waited


def _tells_what_was_waited() -> bool:
    file = Path("/proc/self/schedstat")
    return file.is_file() and int(file.read_text().split()[1]) > 0  # importing pytest alone takes long enough to wait


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "workers"), [("inline", 1), ("process", 1), ("process", 3)])
def test_results_come_in_the_order_of_the_items(backend: str, workers: int) -> None:
    items = [("sleep", 0.05 if index % 4 == 0 else 0) for index in range(20)]
    assert [outcome.value for outcome in map_items(task, items, compute(backend, workers))] == items


def test_no_items_give_no_outcomes() -> None:
    assert list(map_items(task, [], compute("process"))) == []


@pytest.fixture(params=["as here", "interpreters"])
def starts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that start as this system lets them, and as they do where they cannot be forked."""
    if request.param == "interpreters":
        monkeypatch.setattr(execute, "open_workers", Workers)


@pytest.mark.slow
@pytest.mark.usefixtures("starts")
def test_bad_items_become_failures_and_the_pool_continues() -> None:
    items = [("exit", 3), 1, ("sleep", 60), 2, ("crash",), 3, ("allocate", 3000), 4, ("killed",), 5]
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    outcomes = list(map_items(task, items, compute("process"), timeout_seconds=4, memory_mb=1500))
    assert [outcome.value for outcome in outcomes if outcome.failure is None] == [1, 2, 3, 4, 5]
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    assert [failure.code for failure in failures] == ["crash", "timeout", "crash", "memory", "memory"]
    assert "exit status 3" in failures[0].cause
    assert "SIGSEGV" in failures[2].cause
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before, "a process or a zombie is left"


@pytest.mark.slow
def test_a_late_items_children_are_killed_with_it(tmp_path: Path) -> None:
    (outcome,) = map_items(task, [("child", str(tmp_path / "pid"))], compute("process"), timeout_seconds=2)
    assert outcome.failure is not None
    assert outcome.failure.code == "timeout"
    assert _gone(int((tmp_path / "pid").read_text()))


@pytest.mark.slow
@pytest.mark.usefixtures("starts")
@pytest.mark.parametrize("then", ["answer", "die"])
def test_what_a_worker_forked_dies_with_it(then: str, tmp_path: Path) -> None:
    """Even where the child holds the connection, so that the death of its parent is not heard of at once."""
    items = [("fork", str(tmp_path / "pid"), then), 1]
    first, second = map_items(task, items, compute("process", 1), timeout_seconds=2)
    assert (first.failure is None) == (then == "answer")
    assert second.value == 1
    assert _gone(int((tmp_path / "pid").read_text()))


@pytest.mark.slow
def test_what_an_item_waits_for_a_processor_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which files a busy machine accepts must not depend on what else it does."""
    began, over = time.monotonic(), [float("inf")]
    monkeypatch.setattr(killable, "seconds_waited", lambda _: min(time.monotonic(), over[0]) - began)
    outcomes = map_items(task, [("sleep", 2.0), ("sleep", 600)], compute("process"), timeout_seconds=1)
    late = next(outcomes)
    over[0] = time.monotonic()
    (hangs,) = outcomes
    assert late.failure is None
    assert hangs.failure is not None
    assert hangs.failure.code == "timeout"


@pytest.fixture
def one_processor() -> Iterator[None]:
    """This process, and what it starts, share one processor with a process that computes without end."""
    assert sys.platform == "linux"
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        yield
        ended = other.poll()
        other.kill()
    os.sched_setaffinity(0, allowed)
    assert ended is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process cannot be kept on a processor")
@pytest.mark.usefixtures("one_processor")
@pytest.mark.parametrize("told", ["waiting and states", "states", "neither"])
def test_an_item_is_given_its_seconds_of_a_busy_processor(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system does not tell what a process waited, or whether it sleeps. Who computes longer is ended."""
    if told != "waiting and states":
        monkeypatch.setattr(killable, "seconds_waited", lambda _: 0.0)
    if told == "neither":
        monkeypatch.setattr(killable, "_TELLS_STATES", False)
    items = [("compute", 0.3), ("compute", 600.0), ("sleep", 600.0)]
    outcomes = list(map_items(task, items, compute("process", 1), timeout_seconds=0.5))
    assert [outcome.failure and outcome.failure.code for outcome in outcomes] == [None, "timeout", "timeout"]


@pytest.mark.skipif(not _tells_what_was_waited(), reason="this system does not tell how long a process waited")
@pytest.mark.usefixtures("one_processor")
def test_the_system_tells_how_long_a_process_waited() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        assert comes_true(lambda: other.poll() is not None or seconds_waited(other.pid) > 0.05)
        assert other.poll() is None
        other.kill()
    assert seconds_waited(other.pid) == 0.0, "it has ended"


@pytest.mark.slow
@pytest.mark.parametrize("item", [("stuck in native code",), ("stopped",)], ids=lambda item: item[0])
def test_a_process_that_ignores_signals_is_killed(item: tuple[str]) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    outcomes = list(map_items(task, [item, 1, item, 2], compute("process", 1), timeout_seconds=1))
    assert [outcome.failure and outcome.failure.code for outcome in outcomes] == ["timeout", None, "timeout", None]
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before, "a process or a zombie is left"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("item", "code"), [(("eat natively",), "crash"), (("eat bit by bit",), "memory")], ids=["native", "python"]
)
def test_a_process_that_takes_all_memory_gets_no_more_than_allowed(item: tuple[str], code: str) -> None:
    """Its limit holds however it asks, and its memory is free again for the next item."""
    outcomes = list(map_items(task, [item, ("allocate", 300), item, 1], compute("process", 1), memory_mb=800))
    assert [outcome.failure and outcome.failure.code for outcome in outcomes] == [code, None, code, None]
    assert outcomes[1].value == 300 << 20


@pytest.mark.slow
@pytest.mark.usefixtures("starts")
def test_memory_of_an_item_is_freed_before_the_next() -> None:
    """Even what refers to itself: without a look for garbage, the fifth of these would not fit."""
    outcomes = list(map_items(task, [("circle", 200)] * 10, compute("process", 1), memory_mb=900))
    assert [outcome.failure for outcome in outcomes] == [None] * 10


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_a_worker_keeps_the_memory_of_pictures_for_the_next_item() -> None:
    """New pages of memory are what cost time: a picture of 1 MB has 256."""
    first, *others = (outcome.value for outcome in map_items(task, [("faults", 40)] * 4, compute("process", 1)))
    assert first > 40 * 256
    assert max(others) < 256


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
def test_workers_share_what_they_loaded() -> None:
    """They, and those that replace the dead, are forked from one process, which is not this one and ends with them."""
    items = [("parent",), ("exit", 3), ("parent",), ("crash",), ("parent",)]
    parents = {outcome.value for outcome in map_items(task, items, compute("process")) if not outcome.failure}
    assert len(parents) == 1
    assert parents != {os.getpid()}
    assert _gone(parents.pop())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
def test_where_no_worker_can_be_started_the_map_ends() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(StorageError, match="the process that starts workers died"):
        list(map_items(task, [1, ("kill parent",), 2], compute("process", 1)))
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before, "a process or a zombie is left"


@pytest.mark.slow
@pytest.mark.usefixtures("starts")
def test_a_worker_that_dies_before_it_is_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its exit status is reported once, and nothing is left."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    lines = ["from walt.workers import killable", "def die(*_): raise SystemExit(7)", "killable.limit_memory = die"]
    (tmp_path / "sitecustomize.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StorageError, match=r"a worker process could not start \(exit status [17]\)"):
        list(map_items(task, [1, 2], compute("process"), memory_mb=500))
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before, "a process or a zombie is left"


@pytest.mark.usefixtures("starts")
def test_too_many_processes_are_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(StorageError, match="a process could not be started: Resource temporarily unavailable"):
        list(map_items(task, [1], compute("process")))


@pytest.mark.parametrize("opened", [0, 1])
def test_too_many_open_files_are_a_storage_error(opened: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process that starts workers is started, or the first worker."""
    left, real = [opened], socket.socketpair

    def refuse() -> Any:
        if not left[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        left[0] -= 1
        return real()

    monkeypatch.setattr(socket, "socketpair", refuse)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(StorageError, match="a process could not be started: Too many open files"):
        list(map_items(task, [1, 2], compute("process")))
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before, "a process or a zombie is left"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
def test_a_fork_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = ["import os", "def refuse(): raise BlockingIOError(11, 'no more processes')", "os.fork = refuse"]
    (tmp_path / "sitecustomize.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StorageError, match="a worker process could not be started: no more processes"):
        list(map_items(task, [1], compute("process")))


def test_a_function_that_cannot_be_loaded_raises_in_the_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = ["import os", "if os.environ.get('REFUSE'): raise OSError('not here')", "def f(x): return x"]
    (tmp_path / "unloadable.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("unloadable").f
    monkeypatch.setenv("REFUSE", "1")
    with pytest.raises(OSError, match="not here"):
        list(map_items(function, [1], compute("process", 1)))


def _gone(pid: int) -> bool:
    """Whether the process ends; a zombie whose parent has not looked yet has ended."""

    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return comes_true(ended)


@pytest.mark.parametrize("backend", ["inline", "process"])
def test_exceptions_are_raised_in_the_caller(backend: str) -> None:
    with pytest.raises(ConfigurationError, match="asked to"):
        list(map_items(task, [1, ("raise",), 2], compute(backend)))


def test_memory_errors_inline_are_values() -> None:
    outcomes = list(map_items(task, [("allocate", 1 << 40), 1], compute("inline")))
    assert outcomes[0].failure is not None
    assert outcomes[1].value == 1


@pytest.mark.slow
def test_items_are_drawn_only_as_needed() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for index in range(1000):
            drawn.append(index)
            yield index

    results = map_items(task, items(), compute("process"))
    for _ in range(10):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 10 + 8


@pytest.mark.slow
def test_a_slow_first_item_does_not_let_results_pile_up() -> None:
    drawn: list[int] = []

    def items() -> Iterator[Any]:
        yield ("sleep", 1.0)
        for index in range(1000):
            drawn.append(index)
            yield index

    results = map_items(task, items(), compute("process"))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 8


@pytest.mark.slow
def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    script = f"""
import os, time
from tests.support.settings import compute_settings
from walt.workers.execute import map_items
from tests.support.worker_tasks import report_and_sleep
compute = compute_settings(workers=2, backend="process")
list(map_items(report_and_sleep, [{str(tmp_path / "a")!r}, {str(tmp_path / "b")!r}], compute))
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    files = [tmp_path / "a", tmp_path / "b"]

    def written() -> bool:
        return all(file.is_file() and file.read_text() for file in files)

    assert comes_true(lambda: written() or parent.poll() is not None)
    assert parent.poll() is None
    parent.kill()
    parent.wait()
    assert all(_gone(int(file.read_text())) for file in files)
