"""What ``walt <stage>`` does: run it in this folder, and show its figures."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from walt.core.log import console
from walt.core.paths import ARTIFACTS
from walt.project.registry import get_stage


def run_and_show(name: str) -> None:
    """Run the stage of this name for the project in the working directory. Raises WaltError."""
    from walt.project.runner import run_stage

    stage = get_stage(name)
    figures = run_stage(stage, Path.cwd())
    made = ", ".join(ARTIFACTS[output] for output in stage.outputs)
    table = Table(title=f"{stage.name} -> {made}", show_header=False, title_justify="left", box=None)
    for figure, value in figures.items():
        table.add_row(figure, f"{value:.4g}" if isinstance(value, float) else str(value))
    console.print(table)
