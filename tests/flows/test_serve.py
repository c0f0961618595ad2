"""``python -m flows.serve``: the server is there while it is needed, and never longer."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from collections.abc import Iterator

import pytest

from flows import serve
from tests.support.prefect_database import PrefectDatabase


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
        taken.bind((serve.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert serve.main(["--port", str(port)]) == 4
    assert f"error: port {port} of 127.0.0.1 is taken: another `make serve` may be running" in capsys.readouterr().err


@pytest.mark.slow
def test_the_server_answers_while_it_is_needed_and_is_gone_afterwards(
    prefect_database: PrefectDatabase, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("prefect")
    prefect_database.copy_to(home / "prefect.db")
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.delenv("PREFECT_API_DATABASE_CONNECTION_URL", raising=False)  # the harness of other tests sets it
    monkeypatch.delenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", raising=False)
    with socket.socket() as free:
        free.bind((serve.HOST, 0))
        port = free.getsockname()[1]
    with serve.running_server(port) as url:
        assert os.environ["PREFECT_API_URL"] == url == f"http://127.0.0.1:{port}/api"
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            assert answer.read() == b"true"
        prefect_database.keep(home / "prefect.db")
    with socket.socket() as probe:
        assert probe.connect_ex((serve.HOST, port)) != 0, "the server still listens"
