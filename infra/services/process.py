"""A service as a process of this machine, on loopback: started, waited for, stopped.

It runs under the guard of ``flows``: when whoever started it ends, even by SIGKILL, the service and all that it has
started end too. Its output is in ``<name>.log`` in its folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from flows.processes import command_environment, guarded

HOST = "127.0.0.1"
PATIENCE_SECONDS = 240.0
"""Many times what any of them takes to start on an idle machine."""
_GRACE_SECONDS = 20.0
_LINES_SHOWN = 15


class ServiceError(Exception):
    """A service did not start; the message has its last lines."""


class Service(ABC):
    """One process; a context manager that starts it, waits until it is ready, and stops it."""

    def __init__(self, name: str, folder: Path) -> None:
        """
        Args:
            name: of its log file.
            folder: where it runs, and keeps its files.
        """
        self.name, self.folder = name, folder
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What is run."""

    def environment(self) -> Mapping[str, str]:
        """What its environment has beside this process's: passwords too, since ``ps`` shows what a command has."""
        return {}

    def prepare(self) -> None:
        """What is done before its first start."""
        self.folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it does its work now."""

    def start(self) -> None:
        """Start it, and wait until it is ready. Raises ServiceError."""
        if self.is_running:
            raise ServiceError(f"{self.name} runs already")
        if not self.log.exists():
            self.prepare()
        if threading.current_thread() is threading.main_thread():
            # in a script's background job it is ignored, and so it would be by the service, which may stop by it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                guarded(self.command(), _GRACE_SECONDS), cwd=self.folder, start_new_session=True,
                env=command_environment(self.environment()), stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_ready():
            if not self.is_running or time.monotonic() > deadline:
                how = "is not ready" if self.is_running else f"ended with status {self._process.returncode}"
                self.stop()
                raise ServiceError(f"{self.name} {how}; {self.log}:\n{self.last_lines()}")
            time.sleep(0.2)

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Have its guard stop it and all that it has started, and wait for that."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._process = None

    def last_lines(self) -> str:
        """Of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_SHOWN:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def answers(url: str) -> bool:
    """Whether a GET is answered with a status below 400."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def run(command: list[str], environment: Mapping[str, str], folder: Path | None = None) -> str:
    """Run a command to its end; what it printed.

    Raises:
        ServiceError: it failed.
    """
    done = subprocess.run(
        command, env=command_environment(environment), cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "\n".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-_LINES_SHOWN:])
        raise ServiceError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return done.stdout


def is_root() -> bool:
    """Whether this process may do everything, which PostgreSQL refuses to run with."""
    return os.geteuid() == 0
