"""What ``walt <stage>`` does: run it in this folder, and show its figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from walt.core.errors import ConfigurationError, StorageError
from walt.core.figures import significant
from walt.core.log import console, outlive_readers
from walt.core.paths import ARTIFACTS, Paths
from walt.pages.formats import num_bytes
from walt.project.not_made_yet import not_made_yet
from walt.project.registry import get_stage


def run_and_show(name: str, go_on: bool = False, afresh: bool = False) -> None:
    """Run the stage of this name for the project in the working directory.

    Args:
        go_on: of a stage that trains: from a checkpoint of a run with another result too.
        afresh: of a stage that trains: from step 0, whatever there is.

    Raises:
        WaltError: with the exit status that says what kind of failure it was.
    """
    from walt.project.runner import run_stage

    if go_on and afresh:
        raise ConfigurationError("--go-on and --afresh: one of them")
    stage = get_stage(name)
    outlive_readers()
    try:
        figures = run_stage(stage, Path.cwd(), "go-on" if go_on else "afresh" if afresh else None)
    except StorageError as error:
        advice = not_made_yet(stage.inputs, Paths(Path.cwd()))
        if advice is None:
            raise
        raise StorageError(f"{error}; {advice}") from error
    made = ", ".join(ARTIFACTS[output] for output in stage.outputs)
    table = Table(title=f"{stage.name} -> {made}", show_header=False, title_justify="left", box=None)
    for figure, value in figures.items():
        table.add_row(figure, shown(figure, value))
    console.print(table)


def shown(figure: str, value: object) -> str:
    """A stage's figure as people read it: ``too_short 4, black 1``, ``16x16 70 KiB``, ``none`` of nothing."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(figure, part)}" for name, part in value.items()) or "none"
    if isinstance(value, int) and figure == "bytes":
        return num_bytes(value)
    return significant(value, 4) if isinstance(value, float) else str(value)
