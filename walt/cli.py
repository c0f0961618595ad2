"""The ``walt`` command. Its subcommands are put together in ``walt/commands/subcommands.py``."""

from __future__ import annotations

import atexit
import gc
import sys

import typer

from walt.commands.subcommands import Subcommands
from walt.core import environment
from walt.core.errors import WaltError
from walt.core.secrets import without_secrets

app = typer.Typer(cls=Subcommands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def walt() -> None:
    """W.A.L.T: from a pile of videos to a trained text-to-video model, reproducibly."""


def main() -> None:
    """Entry point: a ``WaltError`` is one line on standard error and its own exit status."""
    environment.set_defaults()
    atexit.register(gc.freeze)  # else the interpreter's last garbage collection goes through all libraries: a second
    try:
        app()
    except WaltError as error:
        print(f"walt: {without_secrets(str(error))}", file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
