"""``python -m flows.serve``: the server is there while it is needed, and never longer."""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.settings import Settings

from flows import serve
from flows import walt as direct
from flows.deployments import DEPLOYMENTS
from flows.server import HOST, api_url, free_port
from tests.support.project import ROOT
from tests.support.waiting import SECONDS


@pytest.fixture(autouse=True)
def _handlers_and_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What ``main`` sets for its process is undone for the next test."""
    monkeypatch.setenv("PREFECT_API_URL", os.environ.get("PREFECT_API_URL", ""))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_taken_port_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert serve.main(["--port", str(port)]) == 4
    assert (
        f"error: port {port} of 127.0.0.1 is taken: another `make serve` (`python -m flows.serve`) may be running"
        in capsys.readouterr().err
    )


def test_a_schedule_that_is_none_is_one_line_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main(["--retrain-cron", "every night"]) == 2
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "error: --retrain-cron: 'every night' is not a schedule: minute, hour, day, month and weekday, "
        "as in '0 3 * * *'"
    ]
    assert "starting" not in printed.out


def test_a_folder_that_is_no_project_is_one_line_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert serve.main(["--port", str(free_port())]) == 2
    printed = capsys.readouterr()
    assert (
        printed.err
        == "error: no dvc.yaml here: `walt init` in an empty folder makes a project, a clone of W.A.L.T is one\n"
    )
    assert "starting" not in printed.out
    assert list(tmp_path.iterdir()) == []


def test_how_many_runs_wait_is_said_when_it_changes() -> None:
    once = serve.SaidOnce()

    def passes(text: str, *values: int) -> bool:
        return bool(once.filter(logging.LogRecord("prefect.runner", logging.INFO, "", 0, text, values, None)))

    waiting = "%d scheduled runs skipped (at capacity)"
    assert [passes(waiting, number) for number in (1, 1, 1, 2, 2, 1)] == [True, False, False, True, False, True]
    assert passes("a run begins")
    assert passes("a run begins")
    assert passes(waiting, 1)


def test_what_ctrl_c_stops_is_shown_as_crashed_while_the_server_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    happened: list[str] = []
    under_way = [0, 1]  # at the start, and when it is stopped

    @contextmanager
    def server(port: int) -> Iterator[None]:
        try:
            yield
        finally:
            happened.append("the server stops")

    def end_lost_runs(root: Path) -> int:
        happened.append("lost runs are looked for")
        return under_way.pop(0)

    def serving(*_: object) -> None:
        happened.append("Ctrl-C")
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "running_server", server)
    monkeypatch.setattr(serve, "_serve", serving)
    monkeypatch.setattr(serve.set_up, "free_lost_places", lambda: happened.append("lost places are freed"))
    monkeypatch.setattr(serve.set_up, "set_up", lambda *_: [])
    monkeypatch.setattr("flows.lost_runs.end_lost_runs", end_lost_runs)
    assert serve.main([]) == 0
    assert happened == [
        "lost places are freed", "lost runs are looked for", "Ctrl-C", "lost runs are looked for", "the server stops",
    ]  # fmt: skip
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["runs that were stopped, and are shown as crashed: 1", "the Prefect server has stopped"]


@pytest.mark.parametrize(
    ("port", "server"), [(4200, "PREFECT_PROFILE=local"), (4300, "PREFECT_API_URL=http://127.0.0.1:4300/api")]
)
def test_what_to_type_asks_the_server_that_was_started(port: int, server: str) -> None:
    assert serve.how_to_run_one(port) == f"{server} prefect deployment run walt/train-base --watch"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_start_makes_deployments_limit_and_automation_and_ends_with_its_process(tmp_path: Path) -> None:
    """The whole command, as ``make serve`` runs it; killed, so that nothing of it can clean up."""
    port = free_port()
    command = [sys.executable, "-m", "flows.serve", "--port", str(port), "--retrain-cron", "0 4 * * *"]
    command += ["--accelerators", "2", "--failure-webhook", "http://127.0.0.1:9/the-secret-part"]
    (tmp_path / "dvc.yaml").touch()  # a project
    said = tmp_path / "said.txt"
    with open(said, "wb") as stream:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=_environment(tmp_path), stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 600
        while b"ready." not in said.read_bytes():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.2)
        deployments = {one["name"]: one for one in _ask(port, "deployments/filter")}
        assert sorted(deployments) == sorted(spec.name for spec in DEPLOYMENTS)
        (schedule,) = deployments["retrain"]["schedules"]
        assert (schedule["schedule"]["cron"], schedule["active"]) == ("0 4 * * *", True)
        (limit,) = _ask(port, "v2/concurrency_limits/filter")
        assert (limit["name"], limit["limit"], limit["active_slots"]) == ("walt-accelerator", 2, 0)
        (automation,) = [one for one in _ask(port, "automations/filter") if one["name"] == "walt-failure"]
        assert automation["enabled"]
        assert automation["actions"][0]["type"] == "call-webhook"
        family = psutil.Process(process.pid).children(recursive=True)
        addresses = {
            found.laddr.ip
            for one in family
            for found in one.net_connections(kind="tcp")
            if found.status == psutil.CONN_LISTEN
        }
        assert addresses == {"127.0.0.1"}
    finally:
        process.kill()
        process.wait()
    assert not psutil.wait_procs(family, timeout=SECONDS)[1], "the server goes on"
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) != 0, "it still listens"
    lines = said.read_text()
    assert f"ready. The page: http://127.0.0.1:{port}\n" in lines
    assert f"PREFECT_API_URL={api_url(port)} prefect" in lines
    assert "walt-accelerator: 2 at a time" in lines
    assert "walt-failure: posts to 127.0.0.1" in lines
    assert "the-secret-part" not in lines


def _environment(home: Path) -> dict[str, str]:
    environment = {**os.environ, "PREFECT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    for name in ("PREFECT_API_URL", "PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL"):
        environment.pop(name, None)  # the harness of other tests sets them
    return environment


def _ask(port: int, what: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{api_url(port)}/{what}", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


SERVES = """
import sys, time
from flows.server import running_server
with running_server(int(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_the_server_answers_while_it_is_needed_and_ends_even_when_its_process_is_killed(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", SERVES, str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=_environment(tmp_path), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url == api_url(port) == f"http://127.0.0.1:{port}/api"
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            assert answer.read() == b"true"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2, "a guard and the server"
    finally:
        process.kill()
        process.communicate()
    assert not psutil.wait_procs(family, timeout=SECONDS)[1], "the server goes on"
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) != 0, "it still listens"


@pytest.mark.parametrize(
    ("variables", "files", "named"),
    [
        ({}, {}, False),
        ({"PREFECT_API_URL": "http://127.0.0.1:1/api"}, {}, True),
        ({"PREFECT_PROFILE": "local"}, {}, True),
        ({}, {"prefect.toml": 'home = ".prefect"\n[api]\nurl = "http://127.0.0.1:1/api"'}, True),
        (
            {},
            {"prefect.toml": 'home = "here"', "here/profiles.toml": 'PREFECT_API_URL = "http://127.0.0.1:1/api"'},
            True,
        ),
        ({"PREFECT_HOME": "there"}, {"there/profiles.toml": "[profiles.local]"}, False),
    ],
)
def test_a_direct_run_finds_out_whether_a_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], files: dict[str, str], named: bool
) -> None:
    monkeypatch.setattr(sys, "modules", {name: module for name, module in sys.modules.items() if name != "prefect"})
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert direct.names_server(tmp_path) == named


def test_its_own_server_is_named_before_prefect_is_imported_and_stops_when_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []
    at_exit: list[Callable[[], None]] = []

    @contextmanager
    def server(port: int, *, schedules: bool) -> Iterator[int]:
        assert not schedules
        events.append(os.environ["PREFECT_API_URL"])
        yield port
        events.append("stopped")

    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setenv("PREFECT_UI_URL", "")  # so that it is afterwards as it was before
    monkeypatch.delenv("PREFECT_UI_URL")
    monkeypatch.setattr(direct, "names_server", lambda root: False)
    monkeypatch.setattr(direct, "starting_server", server)
    monkeypatch.setattr(direct, "wait_until_healthy", lambda server, url: events.append(url))
    monkeypatch.setattr(atexit, "register", at_exit.append)
    direct.find_server()
    assert events == [os.environ["PREFECT_API_URL"]] * 2
    assert not Settings().ui_url, "it has no page, so Prefect prints no address of one"
    monkeypatch.delenv("PREFECT_UI_URL")
    assert Settings().ui_url, "as Prefect would"
    (close,) = at_exit
    close()
    assert events[2:] == ["stopped"]
