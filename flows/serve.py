"""One command for everything that deployments need: ``python -m flows.serve`` (``make serve``).

Starts a Prefect server on this machine, waits until it answers, serves all deployments in this process, and stops the
server when it ends. In another shell: ``PREFECT_PROFILE=local prefect deployment run walt/train-base --watch``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from flows.deployments import DEPLOYMENTS, RETRAIN, DeploymentSpec
from flows.processes import command_environment
from walt.core import environment
from walt.core.errors import StorageError, WaltError

HOST = "127.0.0.1"
CRON_VARIABLE = "WALT_RETRAIN_CRON"
_STARTUP_SECONDS = 120.0
_SHUTDOWN_SECONDS = 15.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description="A Prefect server and all deployments.")
    parser.add_argument("--port", type=int, default=4200, help="of the server and its page (default: 4200)")
    parser.add_argument(
        "--retrain-cron",
        default=os.environ.get(CRON_VARIABLE),
        metavar="CRON",
        help=f"when to retrain, instead of the deployment's own schedule; '* * * * *' is each minute ({CRON_VARIABLE})",
    )
    options = parser.parse_args(arguments)
    environment.set_defaults()
    signal.signal(signal.SIGTERM, _leave)
    # a script's background job inherits an ignored SIGINT, by which Prefect's server and runner are stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with running_server(options.port):
            _serve(options.retrain_cron)
    except WaltError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 0  # this is how serving ends
    return 0


@contextmanager
def running_server(port: int) -> Iterator[str]:
    """A Prefect server as a child of this process, and ``PREFECT_API_URL`` set to it; its API's address.

    Raises:
        StorageError: the port is taken, or the server does not come up.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise StorageError(
                f"port {port} of {HOST} is taken: another `make serve` may be running; stop it, or choose --port"
            ) from None
    # its own session: Ctrl-C reaches this process only, which needs the server until the last run has ended
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)],
        env=command_environment({}), start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://{HOST}:{port}/api"
    try:
        print(f"starting the Prefect server on http://{HOST}:{port} ...", flush=True)
        _wait_until_healthy(server, url)
        os.environ["PREFECT_API_URL"] = url
        yield url
    finally:
        server.terminate()
        try:
            server.wait(_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        print("the Prefect server has stopped", flush=True)


def _wait_until_healthy(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _STARTUP_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise StorageError(f"the Prefect server ended with exit status {server.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise StorageError(f"the Prefect server did not answer within {_STARTUP_SECONDS:.0f} s")


def _serve(retrain_cron: str | None) -> None:
    """Register the deployments and run what is asked for, one flow run at a time."""
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner
    from prefect.types.entrypoint import EntrypointType

    from flows.pipeline import walt  # imports prefect, which must see PREFECT_API_URL

    class OrderlyRunner(Runner):
        """Ends on SIGTERM as on Ctrl-C: flow runs stopped, schedules paused. Prefect's own leaves mid-step."""

        def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    # one project, one flow run at a time: the next one waits for its turn
    runner = OrderlyRunner(name="walt", pause_on_shutdown=True, limit=1)
    for spec in DEPLOYMENTS:
        cron = cron_of(spec, retrain_cron)
        deployment = walt.to_deployment(
            spec.name,
            description=spec.description,
            parameters=spec.parameters,
            cron=cron,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        assert isinstance(deployment, RunnerDeployment)  # a coroutine only where an event loop runs
        runner.add_deployment(deployment)
        print(f"  walt/{spec.name:16} {spec.description}{f' [cron: {cron}]' if cron else ''}")
    print(
        "ready. In another shell: PREFECT_PROFILE=local prefect deployment run walt/train-base --watch\n"
        "Ctrl-C stops what runs, and the server.",
        flush=True,
    )
    asyncio.run(runner.start())


def cron_of(spec: DeploymentSpec, retrain_cron: str | None) -> str | None:
    """When a deployment runs by itself: by its own schedule, ``retrain`` by ``retrain_cron`` where that is given."""
    return retrain_cron if retrain_cron and spec.name == RETRAIN else spec.cron


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
