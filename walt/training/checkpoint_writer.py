"""Writes checkpoints in the background: the state is copied, and training goes on while a thread writes the copy.

At most one is being written: a second one waits for it. So the state is held at most twice, once of it on the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from walt.core.errors import StorageError
from walt.core.log import warning
from walt.core.stopping import note_checkpoint_seconds
from walt.training import checkpoint
from walt.training.checkpoint import Retention


class CheckpointWriter:
    """Writes the checkpoints of one run into ``work``. When the block ends, whatever is being written is finished.

    Args:
        trained: steps and seconds of training that the run begins with: of the checkpoint from which it goes on.
    """

    def __init__(self, work: Path, retention: Retention, trained: tuple[int, float] = (0, 0.0)) -> None:
        self.work, self.retention = work, retention
        self._before = trained
        self._seconds, self._started = trained[1], time.monotonic()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def write(
        self,
        step: int,
        identity: Mapping[str, Any],
        parts: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
    ) -> None:
        """Copy the state and begin to write it, after the one before, if that is still being written.

        Args:
            state: must not be changed afterwards.

        Raises:
            StorageError: the one before could not be written.
        """
        self.wait()
        started = time.monotonic()
        copies = {part: checkpoint.plain_copies(tensors) for part, tensors in parts.items()}
        trained = (step, self._seconds + started - self._started)
        lasting = self.retention.lasts(*trained, self._before)
        self._before = trained

        def work() -> None:
            checkpoint.save(self.work, step, identity, copies, state, seconds=trained[1], lasting=lasting)
            checkpoint.remove_old(self.work, self.retention.newest)
            try:
                note_checkpoint_seconds(self.work, time.monotonic() - started)
            except StorageError as error:  # the next checkpoint says it, and which one is kept
                warning(f"how long a checkpoint takes could not be noted: {error}")

        self._writing = self._pool.submit(work)

    def check(self) -> None:
        """Raise the error of a checkpoint that could not be written. Waits for nothing."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until nothing is being written. Raises the error of what was."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        other = self._writing.exception() if self._writing is not None and error is not None else None
        if other is not None:  # the first error is the one that is raised
            warning(f"the last checkpoint could not be written either: {other}")
            self._writing = None
        try:
            self.wait()
        finally:
            self._pool.shutdown()
