"""One process of a stage that runs on several devices. ``walt.project.launcher`` starts them all.

The first one writes, logs and publishes; the others compute and are silent. How a process ended is left in a file of
its own, so that the stage can say what went wrong where it began: the others' errors are that they lost it.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from walt.core import environment, log
from walt.core.config import load_section
from walt.core.errors import DivergedError, TerminatedError, WaltError
from walt.core.storage import write_json
from walt.project.params import Params
from walt.project.registry import Stage, get_stage

_LOST = 4
PARAMETERS = "params.json"
"""What the stage was started with, in the folder that it shares with its ranks."""


def run_rank(stage: Stage, root: Path, reports: Path) -> int:
    """Run this process's part of the stage; its exit status. What happened is in ``reports/<rank>.json``.

    The environment says which rank it is, as ``torch.distributed.run`` sets it.
    """
    from walt.nn.collectives import join, leave, wait_for_all
    from walt.nn.device import select_device
    from walt.project.runner import run_here

    rank = int(os.environ["RANK"])
    if rank:
        log.console.quiet = True
        os.environ.pop(log.PROGRESS_FILE_VARIABLE, None)
    report: dict[str, Any]
    try:
        params = load_section(reports.parent / PARAMETERS, Params)
        device = select_device(params.compute.device)
        if device == "cuda":
            import torch.cuda

            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        join(device, params.compute.rank_timeout_minutes)
        try:
            report = {"status": 0, "figures": run_here(stage, params, root)}
        except (TerminatedError, DivergedError):  # of all ranks at once: the first may still be writing a checkpoint
            wait_for_all()
            raise
        leave()
    except WaltError as error:
        report = {"status": error.exit_status, "message": str(error)}
    except Exception as error:  # noqa: BLE001 reported, and the process ends
        lost = _is_of_another_rank(error)
        if not lost:
            traceback.print_exc()
        report = {"status": _LOST if lost else 1, "message": f"{type(error).__name__}: {error}", "lost": lost}
    write_json(reports / f"{rank}.json", {"time": time.time(), "lost": False, **report})
    return int(report["status"])


def _is_of_another_rank(error: BaseException) -> bool:
    """Whether it says that another rank has gone: gloo and NCCL raise from within a collective."""
    import torch.distributed as dist

    if isinstance(error, dist.DistError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        word in said for word in ("connection closed by peer", "connection reset by peer", "timed out waiting", "gloo")
    )


def main() -> None:
    """``python -m walt.project.rank STAGE ROOT FOLDER``."""
    from walt.workers.killable import die_with

    die_with(int(os.environ["WALT_LAUNCHER_PID"]))
    environment.set_defaults()
    status = run_rank(get_stage(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) / "reports")
    sys.stdout.flush()
    os._exit(status)  # at once: after a lost rank, the libraries' threads would wait for it


if __name__ == "__main__":
    main()
