"""The ``walt`` command. Its subcommands are put together in ``walt/commands/subcommands.py``."""

from __future__ import annotations

import atexit
import faulthandler
import gc
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from walt.commands.subcommands import Subcommands
from walt.core import environment
from walt.core.errors import WaltError
from walt.core.secrets import without_secrets
from walt.project.registry import STAGES

_INTERRUPTED = 128 + signal.SIGINT

app = typer.Typer(cls=Subcommands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


def show_version(wanted: bool) -> None:
    """Print the version and end, where ``--version`` was given."""
    if wanted:
        from importlib import metadata  # which nothing else here needs

        print(f"walt {metadata.version('walt')}")
        raise typer.Exit


@app.callback()
def walt(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """W.A.L.T: from a pile of videos to a trained text-to-video model, reproducibly.

    A project begins with `walt init`; `walt prepare` and `dvc repro` then run all stages that are stale, and `walt
    sample` and `walt ui` make videos. `walt COMMAND --help` says more of each.
    """


def main() -> None:
    """Entry point: a ``WaltError`` is one line on standard error and its own exit status."""
    environment.set_defaults()
    if not faulthandler.is_enabled():
        faulthandler.enable()  # a crash in a library says where in our code it was called
    atexit.register(gc.freeze)  # else the interpreter's last garbage collection goes through all libraries: a second
    try:
        app()
    except WaltError as error:
        print(f"walt: {without_secrets(str(error))}", file=sys.stderr)
        sys.exit(error.exit_status)
    except SystemExit as left:
        if left.code == _INTERRUPTED:  # what typer makes of Ctrl-C, without a word
            print(f"walt: {interrupted(sys.argv[1:])}", file=sys.stderr)
        raise


def interrupted(arguments: Sequence[str]) -> str:
    """What becomes of a command that was stopped by Ctrl-C."""
    name = next(iter(arguments), "")
    if any(stage.name == name and stage.resumes for stage in STAGES):
        return f"interrupted; `walt {name}`, or `dvc repro`, goes on from the last checkpoint"
    if name == "table":
        return "interrupted; the same command goes on with what is missing, a training from its last checkpoint"
    return "interrupted; the same command does it again, and nothing half-written is used"


if __name__ == "__main__":
    main()
