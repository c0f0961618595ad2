"""Processes of ``walt`` and ``dvc`` that start with the libraries loaded, for tests in which DVC runs many stages.

Of the five seconds that a stage of the tiny recipe takes, four go into importing torch and MLflow, and most of what a
call of DVC takes goes into its imports. Here a server for each has imported them and forks a process for each call;
whatever is in ``walt`` is imported by the fork, from the project's own copy. The fork has the caller's arguments,
environment, folder and standard streams, and its status is the caller's. It is not a child of the caller: whoever kills
that one does not kill it.

All processes of a test run share the servers. The first that needs one starts it, and it ends with the last that uses
it, also where that is killed.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import warm_server
from tests.support.forked_stages import ForkedStages, forked_stages
from tests.support.memory_folder import folder_of_run
from tests.support.project import tools_of
from walt.core import environment

_CLIENT = f"""#!{sys.executable} -IS
import json, os, signal, socket, sys
KIND
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(PATH)
    socket.send_fds(connection, [b"x"], [0, 1, 2])
    request = {{"python": python, "arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    connection.sendall(json.dumps(request).encode())
    connection.shutdown(socket.SHUT_WR)
    status = int(connection.recv(16) or b"70")
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
_COMMAND = "python = False"
_PYTHON = f"""python = sys.argv[1:2] in (["-c"], ["-m"])
if not python:
    os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])"""


@dataclass(frozen=True)
class WarmCommand:
    """A command whose processes a server forks, and the server's folder."""

    name: str
    folder: Path

    @property
    def socket(self) -> Path:
        """The server's address."""
        return self.folder / "socket"

    @property
    def python(self) -> Path:
        """A program that does what Python does; ``-c`` and ``-m`` run where the command's libraries are loaded."""
        return self.folder / "python"

    def write(self, tools: Path) -> None:
        """Put the command into a folder of programs."""
        self._write(tools / self.name, _COMMAND)

    def write_python(self) -> None:
        """Make ``python``."""
        self._write(self.python, _PYTHON)

    @contextmanager
    def as_python(self) -> Iterator[None]:
        """Have ``python`` be what this process starts as its own Python, as ours do with ``python -m dvc``."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", str(self.python))
            yield

    def _write(self, program: Path, kind: str) -> None:
        program.unlink(missing_ok=True)
        program.write_text(_CLIENT.replace("KIND", kind).replace("PATH", repr(str(self.socket))))
        program.chmod(0o755)


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
def _served(name: str, run: Path) -> Iterator[WarmCommand]:
    """The server of a command, which is started where there is none."""
    folder = run / f"warm-{name}"
    folder.mkdir(exist_ok=True)
    command, users = WarmCommand(name, folder), folder / "users"
    with open(folder / "lock", "w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not users.exists():
            os.mkfifo(users)
        used = os.open(users, os.O_RDWR | os.O_CLOEXEC)  # the server ends when nobody has it open any more
        if not _answers(command.socket):
            command.socket.unlink(missing_ok=True)
            command.write_python()
            _start(command, users)
    yield command
    os.close(used)


def _answers(address: Path) -> bool:
    """Whether a server is there. It is as long as a user has begun before this question, and has not ended."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(address))
            connection.sendall(warm_server.ARE_YOU_THERE)
            return bool(connection.recv(1))
    except OSError:
        return False


def _start(command: WarmCommand, users: Path) -> None:
    settings = {**os.environ, **environment.defaults(os.environ)}
    with open(users, "rb", buffering=0) as some_are_left:
        starting = subprocess.Popen(
            [sys.executable, warm_server.__file__, command.name, command.socket],
            stdin=some_are_left, stdout=subprocess.PIPE, cwd="/", env=settings,
        )  # fmt: skip
    assert starting.stdout
    with starting.stdout:
        assert starting.stdout.readline() == b"ready\n"
    assert starting.wait() == 0


@pytest.fixture(scope="session")
def warm_dvc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommand]:
    """``dvc``."""
    with _served("dvc", folder_of_run(tmp_path_factory)) as command:
        yield command


@pytest.fixture(scope="module")
def dvc_is_warm(warm_dvc: WarmCommand) -> Iterator[None]:
    """For what starts ``python -m dvc``, in tests and in what they test, until the module's tests have ended."""
    with warm_dvc.as_python():
        yield


@pytest.fixture(scope="session")
def warm_walt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommand]:
    """``walt``."""
    with _served("walt", folder_of_run(tmp_path_factory)) as command:
        yield command


@pytest.fixture(scope="session")
def warm(warm_walt: WarmCommand, warm_dvc: WarmCommand) -> Warm:
    """Both commands."""
    return Warm(warm_walt, warm_dvc)


@pytest.fixture(scope="session")
def stages(warm_walt: WarmCommand) -> Iterator[ForkedStages]:
    """The same for stages of this checkout whose process is known, so that it can be killed, as can its ranks."""
    with forked_stages(str(warm_walt.python)) as start:
        yield start
