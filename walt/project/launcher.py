"""A stage on several devices of this machine: one process for each, started as ``torch.distributed.run`` starts them.

The stage's own process stays: it holds the lock, passes SIGTERM on to the processes, waits until they have written
their checkpoint, and ends with one result, that of the first of them, or with one error, that of the one which failed
first. When it is killed, so are they.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from walt.core import last_words
from walt.core.errors import (
    ConfigurationError,
    CorruptArtifactError,
    DivergedError,
    LockedError,
    RejectLimitError,
    StorageError,
    TerminatedError,
    WaltError,
)
from walt.core.imports import package_root
from walt.core.log import warning
from walt.core.paths import Paths
from walt.core.scratch import scratch_folder
from walt.core.stopping import NotedSigterm, seconds_to_stop
from walt.core.storage import read_json, write_bytes
from walt.project.devices import cores
from walt.project.params import Params
from walt.project.rank import LAST_WORDS_SECONDS, PARAMETERS, PROCESS_SUFFIX
from walt.project.registry import Stage

_ERRORS: dict[int, type[WaltError]] = {
    error.exit_status: error
    for error in (
        ConfigurationError, RejectLimitError, StorageError, CorruptArtifactError, LockedError, DivergedError,
        TerminatedError,
    )
}  # fmt: skip


_LOOK_SECONDS = 0.1
_MEET_SECONDS = 30.0
_NOT_STARTED = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_NO_TRACES: Mapping[int, str] = MappingProxyType({})
_ENDS = (signal.SIGKILL, signal.SIGTERM)
"""Signals that a rank may have been ended with because of another one, which says more: last those that say least."""
_TORCHS_SIGNALS = "SIGINT,SIGQUIT"
"""Without those that ask a stage to stop: torch raises an error wherever its own code is when the signal comes, and not
all of that code takes one (torch 2.13; a timer of its metrics then ends with an error of its own, and the stage without
a result). It would also take SIGHUP where ``nohup`` has it ignored."""


def launch(stage: Stage, params: Params, root: Path, count: int) -> dict[str, Any]:
    """Run the stage in ``count`` processes and return its figures.

    Raises:
        WaltError: what the process raised that failed first.
        TerminatedError: SIGTERM came.
        StorageError: one was killed, or hung; a training goes on from its last checkpoint. Or they cannot be started,
            or what they share while they run, a few kB among the system's temporary files, cannot be written.
        RuntimeError: one had an error that is none of ours; it has printed where.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what a rank says is said once, by us
    _check_loopback()
    with scratch_folder() as folder:
        reports = folder / "reports"
        reports.mkdir()
        (folder / PARAMETERS).write_text(params.model_dump_json(), encoding="utf-8")
        patience = seconds_to_stop(Paths(root).work(stage.name))
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=count, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
            run_id=stage.name, max_restarts=0, logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
            shutdown_timeout=int(patience), signals_to_handle=_TORCHS_SIGNALS,
        )  # fmt: skip
        failed: dict[int, int] = {}
        kills = last_words.kills_for_memory()
        with _Environment(count), NotedSigterm() as sigterm, _Watch(reports, count, sigterm, patience):
            try:
                elastic_launch(config, sys.executable)("-m", "walt.project.rank", stage.name, str(root), str(folder))
            except ChildFailedError as error:
                failed = {rank: failure.exitcode for rank, failure in error.failures.items()}
            except SignalException as error:
                if error.sigval == signal.SIGINT:
                    raise KeyboardInterrupt from None
                failed = {0: -error.sigval}
            except OSError as error:
                if error.errno not in _NOT_STARTED:
                    raise
                said = f"{os.strerror(error.errno)}: a limit of this machine (ulimit -a)"
                raise StorageError(f"the {count} processes of the stage cannot be started: {said}") from error
        written, timeout = _read(reports), params.compute.rank_timeout_minutes
        _check_written(written, failed, count, folder)
        traces = traces_of(reports, set(range(count)) - set(written), failed, Paths(root).work(stage.name))
        memory = words_on_memory(kills, last_words.kills_for_memory())
        return result_of(written, failed, count, timeout, sigterm.came, traces, memory)


def _check_loopback() -> None:
    """Raise StorageError unless processes of this machine can meet; torch would try for a minute, with many lines."""
    found: list[OSError] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.create_server(("localhost", 0), family=family) as server:
                socket.create_connection(server.getsockname()[:2], timeout=_MEET_SECONDS).close()
                return
        except OSError as error:
            found.append(error)
    said = f"localhost cannot be reached ({found[0].strerror or found[0]})"
    raise StorageError(f"{said}: the processes of a stage meet there, so this machine needs its loopback") from found[0]


def _check_written(reports: Mapping[int, Any], failed: Mapping[int, int], count: int, folder: Path) -> None:
    """Raise the error of a rank that ended with its status, and could not leave its message in ``folder``; not where
    another rank has said what went wrong."""
    if any(entry["status"] and not entry["lost"] for entry in reports.values()):
        return
    for rank, status in failed.items():
        if rank not in reports and status in _ERRORS:
            said = f"rank {rank} of {count} ended, and its report could not be written to {folder}"
            raise _ERRORS[status](f"{said}: the line of that rank above says why")


def result_of(
    reports: dict[int, dict[str, Any]],
    failed: dict[int, int],
    count: int,
    timeout_minutes: float,
    terminated: bool = False,
    traces: Mapping[int, str] = _NO_TRACES,
    memory: str = "",
) -> dict[str, Any]:
    """The figures of the first rank, or the error of the one that failed first.

    Args:
        reports: what the ranks wrote at their end; none of a rank that was killed.
        failed: exit statuses of ranks that failed; minus the signal's number of those that were killed.
        timeout_minutes: after which a rank that is waited for is taken for lost.
        terminated: whether SIGTERM came, which ends a rank that has not come to its work.
        traces: of ranks that said nothing: how far each was, and where its stack is, in words that follow its name.
        memory: whether SIGKILL was for lack of it, in words that follow the signal's name.

    Raises:
        WaltError, RuntimeError: see ``launch``.
    """
    if not failed and all(reports.get(rank, {}).get("status") == 0 for rank in range(count)):
        figures: dict[str, Any] = reports[0]["figures"]
        return figures
    own = [(entry["time"], rank) for rank, entry in reports.items() if entry["status"] and not entry["lost"]]
    if own:
        rank = min(own)[1]
        status, message = reports[rank]["status"], reports[rank]["message"]
        if status in _ERRORS:
            raise _ERRORS[status](message)
        raise RuntimeError(f"rank {rank} of {count}: {message}")
    killed = {rank: -status for rank, status in failed.items() if status < 0 and rank not in reports}
    if terminated and signal.SIGKILL not in killed.values():
        raise TerminatedError(f"SIGTERM ended the {count} processes of the stage before they could write more")
    lost = next((entry["message"] for entry in reports.values() if entry["lost"]), None)
    silent = [f"rank {rank}" for rank in range(count) if rank not in reports]
    if silent and any(entry.get("waited") for entry in reports.values()):
        said = f"{' or '.join(silent)} of {count} did not answer for {timeout_minutes:g} minutes"
        said += " (compute.rank_timeout_minutes), and was ended"
        where = ", ".join(f"rank {rank}{trace}" for rank, trace in traces.items() if trace)
        said += f": {where}" if where else ""
    elif killed and not (lost and set(killed.values()) == {signal.SIGTERM}):  # with which torch ends the others
        rank = min(killed, key=lambda rank: (_ENDS.index(killed[rank]) if killed[rank] in _ENDS else -1, rank))
        why = memory if killed[rank] == signal.SIGKILL else ""
        said = f"rank {rank} of {count} was killed ({_name(killed[rank])}{why})"
        if terminated:
            said = f"SIGTERM, and rank {rank} of {count} did not stop in time, and was ended"
        said += traces.get(rank, "")
    else:
        said = f"the {count} processes of the stage lost each other: {lost or 'it says nothing'}"
    raise StorageError(f"{said}; run again: a training goes on from its last checkpoint, on any number of devices")


def words_on_memory(before: int | None, after: int | None) -> str:
    """Whether a SIGKILL that was not ours was for lack of memory, from how many processes the kernel had killed for
    that before the ranks began, and has now (``last_words.kills_for_memory``)."""
    if before is None or after is None:
        return ", as the system does where memory runs out"
    if after > before:
        return f"; for lack of memory the system has killed {after - before} meanwhile"
    return "; not for lack of memory, says the system"


def _name(number: int) -> str:
    """Of a signal; some have none."""
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def traces_of(reports: Path, silent: Iterable[int], failed: Mapping[int, int], work: Path) -> dict[int, str]:
    """What ranks left that said nothing, in words that follow a rank's name: how far each was, and where its stack is.

    Args:
        reports: the folder in which they left it.
        silent: these ranks.
        failed: as for ``result_of``.
        work: of the stage; takes the stacks.
    """
    found = {}
    for rank in silent:
        progress, stack = (of(reports, str(rank)) for of in (last_words.progress_of, last_words.stack_of))
        said = f" at {progress}" if progress else ""
        if stack:
            with suppress(OSError, ValueError):
                stack += last_words.kernels_words(read_json(reports / f"{rank}{PROCESS_SUFFIX}"))
            how = f", ended by {_name(-failed[rank])}" if failed.get(rank, 0) < 0 else ""
            file = work / f"rank-{rank}-stack.txt"
            try:
                write_bytes(file, f"rank {rank}{said}{how}\n\n{stack}\n".encode())
                said += f"; where it was in the code is in {file}"
            except StorageError as error:  # the disk may be why it died
                warning(f"{error}; rank {rank}: {stack}")
        found[rank] = said
    return found


def _read(reports: Path) -> dict[int, dict[str, Any]]:
    return {int(file.stem): read_json(file) for file in reports.glob("*.json")}


class _Watch:
    """What must be seen to while the ranks run: SIGTERM is passed on to them, and those that hang are ended.

    A rank hangs that the others have waited for in vain, or that has not ended in the time that stopping may take.
    """

    def __init__(self, reports: Path, count: int, sigterm: NotedSigterm, patience: float) -> None:
        self._reports, self._count, self._sigterm, self._patience = reports, count, sigterm, patience
        self._told: dict[int, float] = {}
        self._processes: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watch-over-ranks")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            reports = _read(self._reports)
            silent = set(range(self._count)) - set(reports)
            self._know(silent - set(self._processes))
            if self._sigterm.came:
                passed_on = signal.SIGHUP if self._sigterm.name == signal.SIGHUP.name else signal.SIGTERM
                for rank in silent - set(self._told):
                    if self._signal(rank, passed_on):
                        self._told[rank] = time.monotonic()
            if any(report.get("waited") for report in reports.values()):
                for rank in set(range(self._count)) - set(reports):
                    self._signal(rank, last_words.ASK)
                if not self._over.wait(LAST_WORDS_SECONDS):
                    self._end(set(range(self._count)) - set(_read(self._reports)))
                return
            latest = time.monotonic() - self._patience
            late = {rank for rank in silent & set(self._told) if self._told[rank] < latest}
            if late:
                for rank in late:
                    self._signal(rank, last_words.ASK)
                self._over.wait(_LOOK_SECONDS)
                self._end(late)

    def _end(self, ranks: set[int]) -> None:
        for rank in ranks:
            self._signal(rank, signal.SIGKILL)

    def _signal(self, rank: int, number: signal.Signals) -> bool:
        """Whether there was a process of that rank to send it to."""
        with suppress(OSError, KeyError):  # it has ended by now, or has not begun
            os.kill(self._processes[rank], number)
            return True
        return False

    def _know(self, ranks: Iterable[int]) -> None:
        """Read their process ids, once: a training lasts for weeks, and systems remove temporary files of ten days."""
        for rank in ranks:
            with suppress(OSError, ValueError):  # it has not begun
                self._processes[rank] = read_json(self._reports / f"{rank}{PROCESS_SUFFIX}")


class _Environment:
    """Variables of the ranks, which they inherit: threads that share the processors, and whose death is theirs."""

    def __init__(self, count: int) -> None:
        modules = (str(package_root()), os.environ.get("PYTHONPATH"))
        self.variables = {
            "WALT_LAUNCHER_PID": str(os.getpid()),
            "PYTHONPATH": os.pathsep.join(filter(None, modules)),
        }
        if "OMP_NUM_THREADS" not in os.environ:
            self.variables["OMP_NUM_THREADS"] = str(max(1, cores() // count))

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self.variables}
        os.environ.update(self.variables)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
