"""The queue of ``walt ui``: one job at a time on each device, the others wait for their turn.

Waiting jobs are not made together as one batch: another batch size rounds otherwise, and a video would depend on who
else is waiting (docs/decisions/0021).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from walt.commands.sample.generate import Request
from walt.commands.sample.models import ChosenModels
from walt.commands.ui.orders import JobView, Order
from walt.core.errors import ConfigurationError

_REMEMBERED = 200
"""Jobs that have ended, so that whoever asked can see how."""


class FullError(ConfigurationError):
    """As many jobs wait as may."""


class CancelledError(Exception):
    """Whoever asked for the job no longer wants it."""


@dataclass
class Job:
    """One video to make. Changed under the queue's lock, or by the one thread that makes it."""

    id: str
    order: Order
    request: Request
    models: ChosenModels
    model_name: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    doing: str = ""
    done: int = 0
    """Evaluations of the models."""
    total: int = 0
    sampling_since: float | None = None
    preview: bytes | None = None
    previews: int = 0
    notes: tuple[str, ...] = ()
    problem: str | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def check_wanted(self) -> None:
        """Raise CancelledError where it is no longer wanted."""
        if self.cancelled.is_set():
            raise CancelledError(self.id)

    def seconds_left(self) -> float | None:
        """At the rate of sampling so far."""
        if self.state != "running" or self.sampling_since is None or not self.done:
            return None
        return (time.monotonic() - self.sampling_since) * (self.total - self.done) / self.done


class Queue:
    """All jobs, in the order in which they came."""

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._waiting: OrderedDict[str, Job] = OrderedDict()
        self._others: OrderedDict[str, Job] = OrderedDict()  # running, then ended
        self._changed = threading.Condition()

    def submit(self, order: Order, request: Request, models: ChosenModels, model_name: str) -> Job:
        """Add a job at the end. Raises FullError."""
        with self._changed:
            if len(self._waiting) >= self._most_waiting:
                raise FullError(f"{len(self._waiting)} jobs are waiting, and no more may: try again later")
            job = Job(_new_id(), order, request, models, model_name)
            self._waiting[job.id] = job
            self._changed.notify()
        return job

    def take(self) -> Job:
        """Wait for the next job, which is running then."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            _, job = self._waiting.popitem(last=False)
            job.state = "running"
            self._others[job.id] = job
            return job

    def end(self, job: Job, state: Literal["done", "failed", "cancelled"], problem: str | None = None) -> None:
        """A job that was taken has ended. The oldest that ended are forgotten."""
        with self._changed:
            job.state, job.problem, job.doing = state, problem, ""
            ended = [name for name, other in self._others.items() if other.state != "running"]
            for name in ended[:-_REMEMBERED]:
                del self._others[name]

    def cancel(self, name: str) -> JobView | None:
        """End a job: at once where it waits, else after the present step. None where there is no such job."""
        with self._changed:
            waiting = self._waiting.pop(name, None)
            if waiting is not None:
                waiting.state = "cancelled"
                self._others[name] = waiting
            job = self._others.get(name)
            if job is not None:
                job.cancelled.set()
        return self.view(name)

    def find(self, name: str) -> Job | None:
        """The job of this id."""
        with self._changed:
            return self._waiting.get(name) or self._others.get(name)

    def view(self, name: str) -> JobView | None:
        """A job as it is now."""
        return next((view for view in self.views() if view.id == name), None)

    def views(self) -> list[JobView]:
        """All: those that ended, those that run, those that wait in their order."""
        with self._changed:
            places = {name: place for place, name in enumerate(self._waiting, start=1)}
            return [_view(job, places.get(job.id)) for job in (*self._others.values(), *self._waiting.values())]


def _view(job: Job, place: int | None) -> JobView:
    fraction = 1.0 if job.state == "done" else job.done / job.total if job.total else 0.0
    return JobView(
        id=job.id, state=job.state, place=place, order=job.order, model_name=job.model_name, doing=job.doing,
        fraction=fraction, seconds_left=job.seconds_left(), previews=job.previews, notes=list(job.notes),
        problem=job.problem,
    )  # fmt: skip


def _new_id() -> str:
    """Sorted by time where names are sorted."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
