"""The group of all subcommands: one per stage of the registry, and one per module of ``walt/commands``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from walt.commands.listing import list_commands
from walt.commands.run_stage import run_and_show
from walt.core.errors import ConfigurationError
from walt.core.paths import ARTIFACTS
from walt.project.registry import STAGES, Stage

_UsageError: Any = typer.BadParameter.__mro__[1]
"""Base of Typer's errors about arguments, whether it uses click or brings its own copy of it."""


class _PlainFlags:
    """Of a command: its flags are shown without a type, since ``--json <bool>`` reads as if a value were to follow."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Arguments and options, with ``--help``."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_bool_flag", False) and param.metavar is None:
                param.metavar = ""
        return params


class _Command(_PlainFlags, TyperCommand):
    """A subcommand."""


class Subcommands(_PlainFlags, TyperGroup):
    """Names and help are known at once; the module of a command is imported when that command is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.help = _unwrapped(self.help or "")
        for stage in STAGES:
            if stage.resumes:
                self.add_command(_training_command(stage))
            else:
                run = partial(run_and_show, stage.name)
                self.add_command(_Command(stage.name, callback=run, help=_help_of(stage), rich_help_panel="Stages"))
        self._modules: dict[str | None, str] = {}
        for command in list_commands():
            self._modules[command.name] = command.module
            panel = "Stages" if command.name in self.commands else "Project"  # a command that replaces its stage's
            self.add_command(_Command(command.name, help=command.help, rich_help_panel=panel))

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
            raise ConfigurationError(_in_one_line(error, self._first_of(args))) from None
        except typer.Abort:
            sys.exit(1)
        if standalone_mode:
            sys.exit(status if isinstance(status, int) else 0)
        return status

    def _first_of(self, args: Sequence[str] | None) -> str | None:
        """The subcommand that was typed: Typer's errors of options without a value do not say theirs."""
        first = next(iter(sys.argv[1:] if args is None else args), None)
        return first if first in self.commands else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first of ``args`` names, its module imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self._modules:
            command = _command_of(import_module(self._modules[name]).command, name)
        return name, command, rest


def _in_one_line(error: Any, typed: str | None) -> str:
    """``sample: no such option: --nosuch (`walt sample --help` says what there is)``."""
    from pydantic import ValidationError  # which `walt --help` does not need

    if isinstance(error.__cause__, ValidationError):
        error.message = _of_value(error.__cause__)
    said = " ".join(error.format_message().split()).rstrip(".")
    said = said[:1].lower() + said[1:]
    name = typed if error.ctx is None or error.ctx.parent is None else error.ctx.info_name
    if name is None:
        return f"{said} (`walt --help` says what there is)"
    return f"{name}: {said} (`walt {name} --help` says what there is)"


def _of_value(error: Any) -> str:
    """``'many' is not a whole number``: what pydantic says in the words of a program, in those of a person."""
    problem = error.errors(include_url=False)[0]
    kind, limits = problem["type"], problem.get("ctx", {})
    words = {
        "int_parsing": "is not a whole number",
        "int_from_float": "is not a whole number",
        "float_parsing": "is not a number",
        "greater_than_equal": f"is below {limits.get('ge')}, the least",
        "less_than_equal": f"is above {limits.get('le')}, the most",
    }
    if kind in words:
        return f"'{problem['input']}' {words[kind]}"
    said: str = problem["msg"].removeprefix("Value error, ")
    return said


def _command_of(function: Callable[..., None], name: str | None, **settings: Any) -> Any:
    """A command whose options are the function's parameters, and whose help is its docstring, wrapped anew."""
    single = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    text = _unwrapped(settings.pop("help", function.__doc__) or "")
    single.command(name, cls=_Command, help=text, **settings)(function)
    return typer.main.get_command(single)


def _unwrapped(text: str) -> str:
    """A paragraph a line, since Typer keeps the line breaks of a docstring from its second paragraph on."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in cleandoc(text).split("\n\n"))


def _training_command(stage: Stage) -> Any:
    """The command of a stage that trains: an option says what becomes of an earlier run's checkpoints."""

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

    return _command_of(run, stage.name, help=_help_of(stage), rich_help_panel="Stages")


def _help_of(stage: Stage) -> str:
    """What a stage is, what it reads and makes, and where its settings are."""
    sources = [source.replace("${", "<").replace("}", ">") for source in stage.sources]  # DVC's ${dataset.path}
    read = ", ".join([*sources, *(ARTIFACTS[name] for name in stage.inputs)])
    made = ", ".join(ARTIFACTS[name] for name in stage.outputs)
    sections = ", ".join([*stage.params, *stage.settings])
    again = " It goes on from its last checkpoint." if stage.resumes else ""
    return (
        f"{stage.summary}\n\nReads {read}; writes {made}.{again}\n\nSettings: {sections} in params.yaml. "
        f"`dvc repro {stage.name}` runs what comes before it first, where that is stale."
    )
