"""One process of a stage that runs on several devices. ``walt.project.launcher`` starts them all on one machine,
``walt.project.cluster`` on several.

The first one writes, logs and publishes; the others compute and are silent. How a process ended is reported to the
stage, so that it can say what went wrong where it began: the others' errors are that they lost it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from walt.core import environment, last_words, log
from walt.core.config import load_section
from walt.core.errors import DivergedError, StorageError, TerminatedError, WaltError
from walt.core.stopping import SIGNALS
from walt.core.storage import storage_errors, write_json
from walt.project.in_process import run_here
from walt.project.params import Params
from walt.project.registry import Stage, get_stage

_LOST = 4
LAST_WORDS_SECONDS = 3.0
"""What a rank waits, that another did not answer, before it ends: the others are to say what they saw."""
PARAMETERS = "params.json"
"""What the stage was started with, in the folder that it shares with its ranks."""
PROCESS_SUFFIX = ".pid"
"""Of the file beside the reports that has a rank's process id."""


def run_rank(stage: Stage, root: Path, params: Params, rank: int, join: Callable[[], None]) -> dict[str, Any]:
    """Run this process's part of the stage, and say how it ended.

    Args:
        join: meets the other ranks.

    Returns:
        ``status``, the exit status; ``figures``, or ``message``; ``time``, the end; ``lost``, whether the error is only
        that another rank has gone, and then ``waited``, whether it was waited for too long; ``trace`` of an error that
        is none of ours.
    """
    from walt.nn.collectives import leave, wait_for_all

    if rank:
        log.console.quiet = True
        os.environ.pop(log.PROGRESS_FILE_VARIABLE, None)
    report: dict[str, Any]
    try:
        join()
        try:
            report = {"status": 0, "figures": run_here(stage, params, root)}
        except (TerminatedError, DivergedError):  # of all ranks at once: the first may still be writing a checkpoint
            if threading.current_thread() is threading.main_thread():
                for number in SIGNALS:
                    signal.signal(number, signal.SIG_IGN)  # it is stopping: whoever ends first has the others stopped
            wait_for_all()
            raise
        leave()
    except WaltError as error:
        report = {"status": error.exit_status, "message": str(error)}
    except Exception as error:  # noqa: BLE001 reported
        lost = _is_of_another_rank(error)
        report = {"status": _LOST if lost else 1, "message": f"{type(error).__name__}: {error}", "lost": lost}
        report |= {"waited": _waited_too_long(error)} if lost else {"trace": traceback.format_exc()}
    return {"time": time.time(), "lost": False, **report}


def _join_as_started(params: Params) -> None:
    """Meet the other ranks of this machine, as the environment that ``torch.distributed.run`` sets names them."""
    from walt.nn.collectives import join
    from walt.nn.device import select_device

    device = select_device(params.compute.device)
    if device == "cuda":
        import torch.cuda

        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    join(device, params.compute.rank_timeout_minutes)


def _is_of_another_rank(error: BaseException) -> bool:
    """Whether it says that another rank has gone: gloo and NCCL raise from within a collective."""
    import torch.distributed as dist

    if isinstance(error, dist.DistError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        word in said for word in ("connection closed by peer", "connection reset by peer", "timed out", "gloo")
    )


def _waited_too_long(error: BaseException) -> bool:
    """Whether another rank did not answer, rather than having ended."""
    said = str(error).lower()
    return "timed out" in said or "timeout" in said


def main() -> None:
    """``python -m walt.project.rank STAGE ROOT FOLDER``."""
    from walt.workers.killable import die_with

    die_with(int(os.environ["WALT_LAUNCHER_PID"]))
    environment.set_defaults()
    log.outlive_readers()
    folder, rank = Path(sys.argv[3]), int(os.environ["RANK"])
    try:
        with storage_errors(folder):
            last_words.keep(folder / "reports", str(rank))
        write_json(folder / "reports" / f"{rank}{PROCESS_SUFFIX}", os.getpid())
    except StorageError as error:
        _end_without_report(rank, error.exit_status, str(error))
    params = load_section(folder / PARAMETERS, Params)
    report = run_rank(get_stage(sys.argv[1]), Path(sys.argv[2]), params, rank, lambda: _join_as_started(params))
    report["time"] = time.monotonic()  # the ranks have one machine's, which nobody sets while they run
    if "trace" in report:
        print(report.pop("trace"), file=sys.stderr)
    try:
        write_json(folder / "reports" / f"{rank}.json", report)
    except StorageError as error:
        said = f"{report['message']}; {error}" if "message" in report else str(error)
        _end_without_report(rank, report["status"] or error.exit_status, said)
    sys.stdout.flush()
    if report.get("waited"):
        time.sleep(LAST_WORDS_SECONDS)  # when this process ends, so do the others
    os._exit(report["status"])  # at once: after a lost rank, the libraries' threads would wait for it


def _end_without_report(rank: int, status: int, said: str) -> NoReturn:
    """End without a report, where it cannot be written: with the exit status alone, and a line for people."""
    print(f"walt: rank {rank}: {said}", file=sys.stderr, flush=True)
    os._exit(status)


if __name__ == "__main__":
    main()
