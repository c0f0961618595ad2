"""Functions on several ranks: processes of this machine that are joined by gloo, forked from one that has torch."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import pickle
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from walt.nn import collectives

_STACK_SUFFIX = ".stack"


def on_ranks(count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``function(*arguments)``, of a module of ``tests.support``, returns on each of ``count`` ranks, in order.

    Raises:
        AssertionError: one failed, with its traceback, or its signal and where it was.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.support.rank_tasks", "walt.stages.evaluate", "walt.stages.train_autoencoder"]
    )
    with tempfile.TemporaryDirectory() as folder:
        started = []
        for rank in range(count):
            ours, theirs = context.Pipe(duplex=False)
            task = (rank, count, Path(folder) / "store", theirs, function, arguments)
            process = context.Process(target=_run, args=task, daemon=True)
            process.start()
            theirs.close()
            started.append((process, ours))
        results = [_receive(process, connection, Path(folder)) for process, connection in started]
        for process, _ in started:
            process.join(60)
            process.kill()
    failed = [said for good, said in results if not good]
    assert not failed, "\n".join(failed)
    return [value for _, value in results]


def _receive(process: BaseProcess, connection: Connection, folder: Path) -> tuple[bool, Any]:
    try:
        return pickle.loads(connection.recv_bytes())  # type: ignore[no-any-return]  # noqa: S301 of our own process
    except EOFError:
        process.join(60)
        stack = folder / f"{process.pid}{_STACK_SUFFIX}"
        where = stack.read_text(encoding="utf-8") if stack.exists() else ""
        return False, f"a rank ended with {process.exitcode} (a signal's number, where it is negative): {where}"


def _run(
    rank: int, count: int, store: Path, connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    try:
        stack = os.open(store.parent / f"{os.getpid()}{_STACK_SUFFIX}", os.O_WRONLY | os.O_CREAT)
        faulthandler.enable(stack)
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
        collectives.join("cpu", timeout_minutes=5)
        value = function(*arguments)
        collectives.wait_for_all()
        connection.send_bytes(pickle.dumps((True, value)))  # torch would pass tensors by this process
    except BaseException:
        connection.send_bytes(pickle.dumps((False, f"rank {rank}: {traceback.format_exc()}")))
        raise
