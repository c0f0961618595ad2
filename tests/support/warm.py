"""Processes of ``walt`` and ``dvc`` that start with the libraries loaded, for tests in which DVC runs many stages.

Of the five seconds that a stage of the tiny recipe takes, four go into importing torch and MLflow, and most of what a
call of DVC takes goes into its imports. Here a server for each has imported them and forks a process for each call;
whatever is in ``walt`` is imported by the fork, from the project's own copy. The fork has the caller's arguments,
environment, folder and standard streams, and its status is the caller's. It is not a child of the caller: whoever kills
that one does not kill it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import warm_server
from tests.support.forked_stages import ForkedStages, forked_stages
from tests.support.project import tools_of
from walt.core import environment

_CLIENT = f"""#!{sys.executable} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(PATH)
    socket.send_fds(connection, [b"x"], [0, 1, 2])
    request = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    connection.sendall(json.dumps(request).encode())
    connection.shutdown(socket.SHUT_WR)
    status = connection.recv(16)
sys.exit(int(status or b"70"))
"""


@dataclass(frozen=True)
class WarmCommand:
    """A command whose processes a server forks, and the server's address."""

    name: str
    socket: Path

    def write(self, tools: Path) -> None:
        """Put the command into a folder of programs."""
        (tools / self.name).unlink(missing_ok=True)
        (tools / self.name).write_text(_CLIENT.replace("PATH", repr(str(self.socket))))
        (tools / self.name).chmod(0o755)


@dataclass(frozen=True)
class Warm:
    """Both commands."""

    walt: WarmCommand
    dvc: WarmCommand

    def install(self, project: Path) -> None:
        """From now on they are such processes for the commands that ``tests.support.project.run`` runs there."""
        tools = tools_of(project)
        tools.mkdir()
        self.walt.write(tools)
        self.dvc.write(tools)


@contextmanager
def _served(name: str, folder: Path) -> Iterator[WarmCommand]:
    socket = folder / "socket"
    command = [sys.executable, warm_server.__file__, name, socket]
    settings = {**os.environ, **environment.defaults(os.environ)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", env=settings) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        yield WarmCommand(name, socket)
        server.stdin.close()


@pytest.fixture(scope="session")
def warm_dvc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommand]:
    """One server for all tests of this process, started for the first that asks."""
    with _served("dvc", tmp_path_factory.mktemp("warm")) as command:
        yield command


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, warm_dvc: WarmCommand) -> Iterator[Warm]:
    """The same for both commands."""
    with _served("walt", tmp_path_factory.mktemp("warm")) as command:
        yield Warm(command, warm_dvc)


@pytest.fixture(scope="session")
def stages() -> Iterator[ForkedStages]:
    """The same for stages of this checkout whose process is the test's child's, so that it can be killed, as can its
    ranks."""
    with forked_stages() as start:
        yield start
