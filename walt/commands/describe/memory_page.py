"""A plan of the stages' memory as a person and as a program read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from walt.commands.describe.stage_memory import Limits, StageMemory
from walt.core.log import console
from walt.nn.planned_memory import KINDS

_GIB = 2**30
_SHORT = {"optimizer": "optim.", "gradients": "grad.", "activations": "activ."}


def document(name: str, stages: Sequence[StageMemory], limits: Limits, devices: int) -> dict[str, Any]:
    """``{"recipe": name, "limits": {...}, "devices": n, "stages": {NAME: StageMemory and what it sums to}}``."""
    return {
        "recipe": name,
        "limits": asdict(limits),
        "devices": devices,
        "stages": {
            stage.stage: {
                **asdict(stage),
                "device_bytes": stage.device_bytes,
                "host_bytes": stage.host_bytes,
                "fits": fits(stage, limits),
            }
            for stage in stages
        },
    }


def fits(stage: StageMemory, limits: Limits) -> bool:
    """Whether the stage takes no more than it may, of both."""
    return stage.device_bytes <= limits.device and stage.host_bytes <= limits.host


def show(name: str, stages: Sequence[StageMemory], limits: Limits, devices: int) -> None:
    """Print the plan."""
    console.print(_table(name, stages, limits, devices))
    console.print("\n".join(_remarks(stages, limits)), highlight=False)


def _table(name: str, stages: Sequence[StageMemory], limits: Limits, devices: int) -> Table:
    each = "" if devices == 1 else f", each of {devices} devices"
    table = Table(title=f"[bold]{name}[/]  GiB at the peak of each stage{each}", title_justify="left", title_style="")
    table.box, table.padding = SIMPLE, (0, 0, 0, 1)
    table.add_column("stage", no_wrap=True)
    for column in (*(_SHORT.get(kind, kind) for kind in KINDS), "device", "host"):
        table.add_column(column, justify="right", no_wrap=True)
    for stage in stages:
        peak = max(stage.device.values(), key=lambda kinds: sum(kinds.values()), default=dict.fromkeys(KINDS, 0))
        table.add_row(
            stage.stage,
            *(_number(peak[kind]) for kind in KINDS),
            _against(stage.device_bytes, limits.device) if stage.device else "?",
            _against(stage.host_bytes, limits.host),
        )
    return table


def _remarks(stages: Sequence[StageMemory], limits: Limits) -> Iterator[str]:
    for stage in stages:
        totals = {phase: sum(kinds.values()) for phase, kinds in stage.device.items()}
        most = max(totals, key=lambda phase: totals[phase], default="")
        yield f"{stage.stage}: {stage.parts}" + (f"; most in '{most}'" if len(totals) > 1 else "")
        if stage.disk:
            yield "  disk: " + ", ".join(f"{what} {_number(count)} GiB" for what, count in stage.disk.items())
        if not stage.device:
            yield "  the configuration of its model is not on this machine, so there are no numbers"
    yield ""
    wrong = [stage for stage in stages if not fits(stage, limits)]
    for stage in wrong:
        yield f"[bold red]{stage.stage} does not fit[/]: " + (
            " or ".join(stage.advice) or "no knob is known to mend it"
        )
    may = f"{_number(limits.device)} GiB of the device and {_number(limits.host)} of the host"
    yield f"A stage may take {may}: the rest is for kernels' workspaces and what allocators lose."
    yield "By CUDA's autocast rules, with torch's memory-efficient attention; without torch.compile, which needs less."
    yield "Not counted: tables of keys of large data sets (docs/scale.md); ingest, without a device; caption's model."


def _number(count: int) -> str:
    return "0" if count == 0 else f"{count / _GIB:.2f}" if count < 10 * _GIB else f"{count / _GIB:.1f}"


def _against(count: int, limit: int) -> str:
    return f"[bold red]{_number(count)}[/]" if count > limit else _number(count)
