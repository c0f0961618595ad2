"""Processes of ``walt`` that start with the libraries loaded, for tests in which DVC runs many stages.

Of the five seconds that a stage of the tiny recipe takes, four go into importing torch and MLflow. Here a server has
imported them and forks a process for each call; whatever is in ``walt`` is imported by the fork, from the project's own
copy. The fork has the caller's arguments, environment, folder and standard streams, and its status is the caller's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import warm_server
from tests.support.project import tools_of

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
class Warm:
    """The server's address."""

    socket: Path

    def install(self, project: Path) -> None:
        """From now on ``walt`` is such a process for the commands that ``tests.support.project.run`` runs there."""
        tools = tools_of(project)
        tools.mkdir()
        (tools / "walt").write_text(_CLIENT.replace("PATH", repr(str(self.socket))))
        (tools / "walt").chmod(0o755)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """One server for all tests of this process, started for the first that asks."""
    socket = tmp_path_factory.mktemp("warm") / "socket"
    command = [sys.executable, warm_server.__file__, socket]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        yield Warm(socket)
        server.stdin.close()
