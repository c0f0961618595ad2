"""One command for everything that deployments need: ``python -m flows.serve`` (``make serve``).

Starts a Prefect server on this machine, waits until it answers, serves all deployments in this process, and stops the
server when it ends. In another shell: ``PREFECT_PROFILE=local prefect deployment run walt/train-base --watch``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from flows import set_up
from flows.deployments import DEPLOYMENTS, DeploymentSpec
from flows.server import HOST, api_url, running_server
from walt.core import environment
from walt.core.errors import ConfigurationError, WaltError
from walt.project.dvc_yaml import NO_PIPELINE, PIPELINE_FILE

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

    from flows.schedules import Registered

CRON_VARIABLE = "WALT_RETRAIN_CRON"
_PORT = 4200


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; the exit status: 2 where there is no project, or for a schedule that is none, before
    anything is started."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description="A Prefect server and all deployments.")
    parser.add_argument("--port", type=int, default=_PORT, help="of the server and its page (default: %(default)s)")
    parser.add_argument(
        "--retrain-cron",
        default=os.environ.get(CRON_VARIABLE),
        metavar="CRON",
        help=f"when to retrain, instead of what the page says; off: by no schedule ({CRON_VARIABLE})",
    )
    set_up.add_options(parser)
    options = parser.parse_args(arguments)
    environment.set_defaults()
    signal.signal(signal.SIGTERM, _leave)
    # a script's background job inherits an ignored SIGINT, by which Prefect's server and runner are stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["PREFECT_API_URL"] = api_url(options.port)  # before prefect is imported, which reads it
    try:
        check_folder(Path.cwd())
        check_cron(options.retrain_cron)
        set_up.check_options(options.accelerators, options.failure_webhook)
        print(f"starting the Prefect server on http://{HOST}:{options.port} ...", flush=True)
        with running_server(options.port):
            from flows.lost_runs import end_lost_runs  # imports prefect, which must see PREFECT_API_URL

            set_up.free_lost_places()
            said = set_up.set_up(options.accelerators, options.failure_webhook)
            if lost := end_lost_runs(Path.cwd()):
                said.append(f"runs that ended with an earlier server, and are shown as crashed now: {lost}")
            try:
                _serve(options.retrain_cron, said, options.port)
            except KeyboardInterrupt:
                if stopped := end_lost_runs(Path.cwd()):
                    print(f"runs that were stopped, and are shown as crashed: {stopped}", flush=True)
                raise
    except WaltError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("the Prefect server has stopped", flush=True)  # this is how serving ends
    return 0


def check_folder(root: Path) -> None:
    """Raise ConfigurationError, one line, where there is no project: its runs would all fail, and Prefect's database
    would be another one than the project's."""
    if not (root / PIPELINE_FILE).is_file():
        raise ConfigurationError(NO_PIPELINE)


def check_cron(cron: str | None) -> None:
    """Raise ConfigurationError, one line, where a schedule is none that Prefect knows."""
    if cron in (None, "off"):
        return
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValueError:
        raise ConfigurationError(
            f"--retrain-cron: '{cron}' is not a schedule: minute, hour, day, month and weekday, as in '0 3 * * *'"
        ) from None


def how_to_run_one(port: int) -> str:
    """What a person types in another shell; the profile ``local``, which Prefect brings, knows its own port only."""
    server = "PREFECT_PROFILE=local" if port == _PORT else f"PREFECT_API_URL={api_url(port)}"
    return f"{server} prefect deployment run walt/train-base --watch"


class SaidOnce(logging.Filter):
    """Of Prefect's runner (3.8): how many runs wait for their turn is said when it changes, not every two seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._said = ""

    def filter(self, record: logging.LogRecord) -> bool:
        before, self._said = self._said, record.getMessage()
        return before != self._said or "at capacity" not in before


def _serve(retrain_cron: str | None, said: Sequence[str], port: int) -> None:
    """Register the deployments and run what is asked for, one flow run at a time.

    Args:
        said: about what else is on the server.
    """
    from prefect.runner import Runner

    from flows.schedules import registered  # imports prefect, which must see PREFECT_API_URL

    class OrderlyRunner(Runner):
        """Ends on SIGTERM as on Ctrl-C: flow runs stopped. Prefect's own leaves mid-step."""

        def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    logging.getLogger("prefect.runner").addFilter(SaidOnce())
    # one project, one flow run at a time: the next one waits for its turn
    runner = OrderlyRunner(name="walt", pause_on_shutdown=False, limit=1)  # without a server nothing is scheduled
    for spec in DEPLOYMENTS:
        found = registered(spec, retrain_cron)
        runner.add_deployment(deployment_of(spec, found))
        print(f"  walt/{spec.name:16} {spec.description}{f' [{found.said}]' if found.said else ''}")
    for line in said:
        print(f"  {line}")
    print(
        f"ready. The page: http://{HOST}:{port}\nIn another shell, in this folder: {how_to_run_one(port)}\n"
        "Ctrl-C stops what runs, and the server.",
        flush=True,
    )
    asyncio.run(runner.start())


def deployment_of(spec: DeploymentSpec, found: Registered) -> RunnerDeployment:
    """A deployment as Prefect takes it."""
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType
    from prefect.utilities.callables import ParameterSchema

    from flows.pipeline import walt
    from flows.schedules import KEPT_TAG

    class Strict(ParameterSchema):
        """With which the server refuses a parameter that the flow does not have, before a run is made."""

        additionalProperties: bool

    deployment = walt.to_deployment(
        spec.name,
        description=spec.description,
        parameters=spec.parameters,
        schedules=list(found.schedules),
        paused=found.paused,
        tags=[KEPT_TAG],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(deployment, RunnerDeployment)  # a coroutine only where an event loop runs
    schema = deployment._parameter_openapi_schema.model_dump(exclude_unset=True)
    deployment._parameter_openapi_schema = Strict(**schema, additionalProperties=False)
    return deployment


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
