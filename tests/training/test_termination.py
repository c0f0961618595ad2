"""When a training is to stop: SIGTERM, or what another thread asks where a process does not get the signal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading

import pytest

from walt.training import termination
from walt.training.termination import TerminationSignal, request_stop


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termination, "_asked", threading.Event())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_is_noted_and_the_handler_before_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with TerminationSignal() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.name == number.name
    assert signal.getsignal(number) is before
    with TerminationSignal() as stop:
        assert not stop


def test_under_nohup_a_terminal_that_is_closed_stops_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with TerminationSignal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_printed_after_the_terminal_was_closed_is_no_error() -> None:
    says = "import os, time; from walt.core.stopping import NotedSigterm\nos.open(os.ttyname(0), os.O_RDWR)\n"
    says += "with NotedSigterm() as stop:\n    print('on', flush=True)\n    while not stop.came: time.sleep(0.01)\n"
    says += "    print('more', flush=True); raise SystemExit(143)"
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", says], stdin=its, stdout=its, stderr=its, start_new_session=True
    ) as process:
        os.close(its)
        assert os.read(ours, 100).startswith(b"on")
        os.close(ours)
        assert process.wait(60) == 143


def test_a_signal_that_comes_while_the_ranks_ask_each_other_is_obeyed_at_the_next_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask(flag: bool) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return flag

    with TerminationSignal() as stop:
        with monkeypatch.context() as patch:
            patch.setattr(termination, "any_rank", ask)
            assert not stop
        assert stop


def test_in_another_thread_a_request_does_what_the_signal_does() -> None:
    said: list[bool] = []

    def work() -> None:
        with TerminationSignal() as stop:
            said.append(bool(stop))
            request_stop()
            said.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [False, True]
