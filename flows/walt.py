"""The direct run, without a server of your own: ``python -m flows.walt [--target STAGE] [--promote]``.

This is what ``make demo`` calls, with ``--promote``. It starts a temporary server (about ten seconds) unless
``PREFECT_API_URL``, or Prefect's profile, names one, or nothing is stale; that ends with it, however it ends.

Exit status: 0 when everything is up to date; 1 when a stage failed; 2 (params.yaml or the dataset's descriptor is
wrong: nothing was started, not even Prefect), 4 (Prefect's server was lost; the stage that ran has ended its work) and
6 (another run, or DVC, works in this project) as in walt.core.errors; 130 or 143 when it was interrupted.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import signal
import sys
import threading
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flows.nothing_to_do import outcomes_if_fresh
from flows.processes import StageFailedError
from flows.server import api_url, free_port, starting_server, wait_until_healthy
from walt.core import environment
from walt.core.config import load_section
from walt.core.errors import ConfigurationError, StorageError, WaltError
from walt.core.paths import located
from walt.ingest.config import Descriptor
from walt.project import dvc_yaml
from walt.project.registry import STAGE_NAMES, stages_needed_for
from walt.project.runner import load_params

NEXT = """
Now open results/report.html: the videos, whether they show what their prompts ask for, and how they were made.
Compare runs with `{mlflow}`. For your own videos: `{walt} init --videos FOLDER --force`,
then `{again}` again."""
_LAST_SECONDS = 10.0
_IN_A_CLONE = {"mlflow": "make mlflow", "walt": ".venv/bin/walt", "again": "make demo"}
_INSTALLED = {"mlflow": "walt mlflow", "walt": "walt", "again": "python -m flows.walt"}


def main(arguments: list[str] | None = None) -> int:
    """Run the flow in this process; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m flows.walt", description="Bring a stage up to date.")
    parser.add_argument(
        "--target",
        default="report",
        choices=STAGE_NAMES,
        help="the stage that is wanted; default: report, so everything",
    )
    parser.add_argument("--promote", action="store_true", help="then give the alias to the new model, if it is better")
    options = parser.parse_args(arguments)

    environment.set_defaults()
    try:
        check_configuration(Path.cwd())
    except WaltError as error:
        return _refuse(error)
    if not os.environ.get("PREFECT_API_URL", "unset"):
        del os.environ["PREFECT_API_URL"]  # blank is not the same as unset to Prefect, which would then find no server
    signal.signal(signal.SIGTERM, _leave)
    names = [stage.name for stage in stages_needed_for(options.target)]
    try:
        outcomes = None if names_server(Path.cwd()) else outcomes_if_fresh(Path.cwd(), names, options.promote)
        if outcomes is None:
            find_server()
            from flows.pipeline import walt  # imports prefect, which reads the environment

            outcomes = walt(options.target, options.promote)
    except KeyboardInterrupt:
        print("interrupted; what ran was stopped, and continues from its checkpoint next time", file=sys.stderr)
        return 130
    except (StageFailedError, WaltError) as error:
        return _refuse(error)
    except Exception as error:
        if not _is_of_a_lost_server(error):
            raise
        from prefect.settings import PREFECT_API_URL  # also of a profile, or prefect.toml

        return _refuse(
            StorageError(
                f"Prefect's server at {PREFECT_API_URL.value()} does not answer ({error}); the stage that ran has "
                "ended its work, and the next run goes on from there"
            )
        )
    for name, outcome in outcomes.items():
        print(f"{name:20} {outcome}")
    if options.target == STAGE_NAMES[-1]:
        print(NEXT.format(**(_IN_A_CLONE if dvc_yaml.has_the_code(Path.cwd()) else _INSTALLED)))
    return 0


def find_server() -> None:
    """See that Prefect has a server: the one that its settings name, or one that lives as long as this process.

    Raises:
        StorageError: no server could be started.
    """
    if names_server(Path.cwd()):
        return
    url = api_url(port := free_port())
    print("starting a temporary Prefect server, which has no page ...", flush=True)
    os.environ["PREFECT_API_URL"] = url  # before prefect is imported: threads of its own read this, not other settings
    os.environ["PREFECT_UI_URL"] = ""  # else Prefect prints "View at" and an address where nothing is to be seen
    needed = ExitStack()
    atexit.register(needed.close)  # not before: Prefect's threads send what they still have when the process ends
    server = needed.enter_context(starting_server(port, schedules=False))
    import flows.pipeline  # noqa: F401 takes seconds, in which the server starts

    wait_until_healthy(server, url)


def names_server(root: Path) -> bool:
    """Whether the environment, a profile or ``prefect.toml`` say which server Prefect is to use, as far as can be known
    without importing Prefect, or Prefect itself where it is imported."""
    if os.environ.get("PREFECT_API_URL") or os.environ.get("PREFECT_PROFILE"):
        return True
    if "prefect" in sys.modules:
        from prefect.settings import PREFECT_API_URL

        return bool(PREFECT_API_URL.value())
    settings = tomllib.loads(_text(root / "prefect.toml"))
    home = os.environ.get("PREFECT_HOME") or settings.get("home", "~/.prefect")
    in_a_profile = "PREFECT_API_URL" in _text(located(root, home) / "profiles.toml")
    return in_a_profile or bool(settings.get("api", {}).get("url"))


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def check_configuration(root: Path) -> None:
    """Read ``params.yaml`` and the dataset's descriptor, and see that ``dvc.yaml`` is there and of this code.

    In a clone DVC looks at the code itself, and this takes no time.

    Raises:
        ConfigurationError: one line.
    """
    if not dvc_yaml.has_the_code(root):
        dvc_yaml.check(root)
    elif not (root / dvc_yaml.PIPELINE_FILE).is_file():
        raise ConfigurationError(dvc_yaml.NO_PIPELINE)
    load_section(root / load_params(root).dataset.descriptor, Descriptor)


def _is_of_a_lost_server(error: Exception) -> bool:
    """Whether it is what Prefect raises where it cannot tell its server of a state, or ask it for a place; also where
    the server says, as often as the client asks again, that it is too busy or has failed (HTTP 5xx)."""
    import httpx
    from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.TransportError | ConcurrencySlotAcquisitionError)


def end(status: int) -> NoReturn:
    """End this process. Where storage or a server failed it does not wait for Prefect's threads, which for minutes try
    to tell a server of each event that it has not seen (Prefect 3.8)."""
    if status == StorageError.exit_status:
        threading.Thread(target=_leave_soon, args=(status,), daemon=True).start()
    atexit.register(gc.freeze)  # else the interpreter's last garbage collection goes through all libraries: a second
    sys.exit(status)


def _leave_soon(status: int) -> None:
    time.sleep(_LAST_SECONDS)
    sys.stdout.flush()
    os._exit(status)  # a server of this process's own is stopped by its guard


def _refuse(error: Exception) -> int:
    """One line on standard error; the exit status that belongs to the error."""
    print(f"error: {error}", file=sys.stderr)
    return error.exit_status if isinstance(error, WaltError) else 1


def _leave(number: int, frame: FrameType | None) -> None:
    """Prefect stops the flow first, then hands over to this: an orderly exit also stops the temporary server."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    end(main())
