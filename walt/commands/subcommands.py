"""The group of all subcommands: one per stage of the registry, and one per module of ``walt/commands``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from walt.commands.listing import list_commands
from walt.commands.run_stage import run_and_show
from walt.core.errors import ConfigurationError
from walt.project.registry import STAGES, Stage

_UsageError: Any = typer.BadParameter.__mro__[1]
"""Base of Typer's errors about arguments, whether it uses click or brings its own copy of it."""


class Subcommands(TyperGroup):
    """Names and help are known at once; the module of a command is imported when that command is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for stage in STAGES:
            if stage.resumes:
                self.add_command(_training_command(stage))
            else:
                run = partial(run_and_show, stage.name)
                self.add_command(TyperCommand(stage.name, callback=run, help=stage.summary, rich_help_panel="Stages"))
        self._modules: dict[str | None, str] = {}
        for command in list_commands():
            self._modules[command.name] = command.module
            panel = "Stages" if command.name in self.commands else "Project"  # a command that replaces its stage's
            self.add_command(TyperCommand(command.name, help=command.help, rich_help_panel=panel))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """As Typer's, but a wrong argument is an error as all others are: one line, not a box.

        Raises:
            ConfigurationError: an option or an argument is wrong or missing.
        """
        try:
            status = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except _UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # `walt` alone: the error is the help
                error.show()
                sys.exit(error.exit_code)
            raise ConfigurationError(_in_one_line(error)) from None
        except typer.Abort:
            sys.exit(1)
        if standalone_mode:
            sys.exit(status if isinstance(status, int) else 0)
        return status

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first of ``args`` names, its module imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self._modules:
            command = _command_of(import_module(self._modules[name]).command, name)
        return name, command, rest


def _in_one_line(error: Any) -> str:
    """``sample: no such option: --nosuch (`walt sample --help` says what there is)``."""
    said = " ".join(error.format_message().split()).rstrip(".")
    said = said[:1].lower() + said[1:]
    if error.ctx is None or error.ctx.parent is None:
        return f"{said} (`walt --help` says what there is)"
    name = error.ctx.info_name
    return f"{name}: {said} (`walt {name} --help` says what there is)"


def _command_of(function: Callable[..., None], name: str | None, **settings: Any) -> Any:
    """A command whose options are the function's parameters."""
    single = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    single.command(name, **settings)(function)
    return typer.main.get_command(single)


def _training_command(stage: Stage) -> Any:
    """The command of a stage that trains: it may be told what becomes of an earlier run's checkpoints."""

    def run(
        go_on: Annotated[
            bool,
            typer.Option("--go-on", help="From the checkpoint of a run with another result too; it is recorded."),
        ] = False,
        afresh: Annotated[
            bool, typer.Option("--afresh", help="From step 0; checkpoints are set aside in work/<stage>/set-aside.")
        ] = False,
    ) -> None:
        run_and_show(stage.name, go_on, afresh)

    return _command_of(run, stage.name, help=stage.summary, rich_help_panel="Stages")
