"""The direct run, without a server of your own: ``python -m flows.walt [--target STAGE] [--promote]``.

This is what ``make demo`` calls, with ``--promote``. Prefect starts a temporary server (about ten seconds) unless
``PREFECT_API_URL`` names one. Exit status: 0 when everything is up to date; 1 when a stage failed; 2 (params.yaml or
the dataset's descriptor is wrong: nothing was started, not even Prefect) and 6 as in walt.core.errors; 130 or 143 when
it was interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from walt.core import environment
from walt.core.config import load_section
from walt.core.errors import ConfigurationError, WaltError
from walt.ingest.config import Descriptor
from walt.project import dvc_yaml
from walt.project.registry import STAGE_NAMES
from walt.project.runner import load_params

NEXT = """
Now open results/report.html: the videos, whether they show what their prompts ask for, and how they were made.
Compare runs with `{mlflow}`. For your own videos: `{walt} init --videos FOLDER --captions FILE.csv --force`,
then `{again}` again."""
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
    from flows.pipeline import (  # imports prefect, which reads the environment
        StageFailedError,
        walt,
    )

    try:
        outcomes = walt(options.target, options.promote)
    except KeyboardInterrupt:
        print("interrupted; what ran was stopped, and continues from its checkpoint next time", file=sys.stderr)
        return 130
    except (StageFailedError, WaltError) as error:
        return _refuse(error)
    for name, outcome in outcomes.items():
        print(f"{name:20} {outcome}")
    if options.target == STAGE_NAMES[-1]:
        print(NEXT.format(**(_IN_A_CLONE if dvc_yaml.has_the_code(Path.cwd()) else _INSTALLED)))
    return 0


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


def _refuse(error: Exception) -> int:
    """One line on standard error; the exit status that belongs to the error."""
    print(f"error: {error}", file=sys.stderr)
    return error.exit_status if isinstance(error, WaltError) else 1


def _leave(number: int, frame: FrameType | None) -> None:
    """Prefect stops the flow first, then hands over to this: an orderly exit also stops the temporary server."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
