"""A Prefect server on this machine that lives as long as the process which needs it, and no longer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from flows.processes import command_environment, guarded
from walt.core.errors import StorageError

HOST = "127.0.0.1"
_STARTUP_SECONDS = 600.0
_SHUTDOWN_SECONDS = 15.0


def api_url(port: int) -> str:
    """What ``PREFECT_API_URL`` is for the server at this port."""
    return f"http://{HOST}:{port}/api"


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def starting_server(port: int, *, schedules: bool) -> Iterator[subprocess.Popen[str]]:
    """A Prefect server that may not answer yet; ``wait_until_healthy`` waits for it. It stops when the block ends, and
    when this process dies, even by SIGKILL.

    Args:
        schedules: whether it starts what is due by a schedule; its page is there too then.

    Raises:
        StorageError: the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise StorageError(
                f"port {port} of {HOST} is taken: another `make serve` (`python -m flows.serve`) may be running; "
                "stop it, or choose --port"
            ) from None
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    only_an_api = ["--no-services", "--no-ui"]
    # its own session: Ctrl-C reaches this process only, which needs the server until the last run has ended
    server = subprocess.Popen(
        guarded([*command, *([] if schedules else only_an_api)], _SHUTDOWN_SECONDS), env=command_environment({}),
        start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdin is not None
    try:
        yield server
    finally:
        server.stdin.close()  # the guard's signal to stop
        server.wait()


@contextmanager
def running_server(port: int) -> Iterator[str]:
    """A Prefect server with schedules and page that answers, and ``PREFECT_API_URL`` set to it; its API's address.

    Raises:
        StorageError: the port is taken, or the server does not come up.
    """
    with starting_server(port, schedules=True) as server:
        wait_until_healthy(server, api_url(port))
        os.environ["PREFECT_API_URL"] = api_url(port)
        yield api_url(port)


def wait_until_healthy(server: subprocess.Popen[str], url: str) -> None:
    """Wait until a server answers. Raises StorageError where it ends instead, or takes ten minutes."""
    deadline = time.monotonic() + _STARTUP_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise StorageError(f"the Prefect server ended with exit status {server.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise StorageError(
        f"the Prefect server did not answer within {_STARTUP_SECONDS:.0f} s: if the machine is busy, try again later"
    )
