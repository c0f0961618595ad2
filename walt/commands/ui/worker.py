"""A thread for each device, which makes one video after the other with models that stay loaded."""

from __future__ import annotations

import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Hashable
from datetime import UTC, datetime

import torch
from torch import Tensor

from walt.commands.sample.generate import plan_of
from walt.commands.sample.models import ChosenModels
from walt.commands.sample.videos import Plan
from walt.commands.ui.jobs import CancelledError, Job, Queue
from walt.commands.ui.orders import ResultView
from walt.commands.ui.previews import moving_picture
from walt.commands.ui.results import Results
from walt.commands.ui.uploads import Decoder
from walt.core.errors import WaltError
from walt.project.trained_transformers import cascade
from walt.sampling.output import to_frames
from walt.sampling.prompt_to_video import Pipeline

PREVIEWS: tuple[float, ...] = (0.08, 0.25, 0.5, 0.75)
"""Shares of a job's evaluations of the models after which the present estimate is decoded and shown."""
_MOST_SPENT = 0.05
"""On previews after the first, as a share of the time of sampling so far: a later one waits until it is affordable."""


class Loaded:
    """Models of one device that stay loaded: the ones used last, a bounded number of them."""

    def __init__(self, device: str, most: int) -> None:
        self._device, self._most = device, most
        self._pipelines: OrderedDict[Hashable, Pipeline] = OrderedDict()

    def get(self, models: ChosenModels, with_cascade: bool) -> Pipeline:
        """The pipeline; loaded, where it is not there or its files have changed since."""
        key = (models.address, with_cascade, _stamps(models, with_cascade))
        if key not in self._pipelines:
            while len(self._pipelines) >= self._most:
                self._pipelines.popitem(last=False)
            self._pipelines[key] = models.load(with_cascade, self._device)
        self._pipelines.move_to_end(key)
        return self._pipelines[key]

    def clear(self) -> None:
        """Give their memory back."""
        self._pipelines.clear()

    def __len__(self) -> int:
        return len(self._pipelines)


def _stamps(models: ChosenModels, with_cascade: bool) -> tuple[tuple[str, int, int], ...]:
    """What changes where a model is published anew: its files are replaced, never written into."""
    paths = models.paths
    folders = [*cascade(paths, with_cascade).values(), paths.autoencoder, paths.text_encoder]
    files = [file for folder in folders for file in sorted(folder.glob("*.*"))]
    return tuple((str(file), status.st_ino, status.st_mtime_ns) for file in files for status in [file.stat()])


class Worker:
    """Takes jobs from the queue, on one device, until the process ends."""

    def __init__(self, device: str, queue: Queue, results: Results, decoder: Decoder, most_loaded: int) -> None:
        self.loaded, self._device = Loaded(device, most_loaded), device
        self._queue, self._results, self._decoder = queue, results, decoder
        self._thread = threading.Thread(target=self._serve, name=f"walt-ui-{device}", daemon=True)

    def start(self) -> None:
        """Begin with the first job."""
        self._thread.start()

    def _serve(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.set_device(self._device)  # of this thread
        while True:
            self._do(self._queue.take())

    def _do(self, job: Job) -> None:
        try:
            self._make(job)
        except CancelledError:
            self._queue.end(job, "cancelled")
        except WaltError as error:
            self._queue.end(job, "failed", plain(str(error)))
        except Exception as error:  # noqa: BLE001 this job has failed, such as for lack of memory; the next one may not
            traceback.print_exc()
            self.loaded.clear()
            first_line = (str(error).strip().splitlines() or ["no message"])[0]
            self._queue.end(job, "failed", f"{type(error).__name__}: {first_line}")
        else:
            self._queue.end(job, "done")

    def _make(self, job: Job) -> None:
        began = time.monotonic()
        job.check_wanted()
        job.doing = "loading the models"
        settings_cascade = job.models.params.sample.cascade if job.request.cascade is None else job.request.cascade
        pipeline = self.loaded.get(job.models, settings_cascade)
        job.check_wanted()
        plan = plan_of(job.request, job.models.params, pipeline, self._decoder.read)
        job.notes = plan.notes
        job.total, job.doing, job.sampling_since = plan.evaluations, "sampling", time.monotonic()
        (made,) = plan.make(lambda count: _advance(job, count), _Previews(job, plan).watch)
        job.check_wanted()
        job.doing = "writing"
        result = ResultView(
            id=job.id, order=job.order, model_name=job.model_name, about=made.about,
            finished=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", seconds=round(time.monotonic() - began, 3),
            notes=list(plan.notes),
        )  # fmt: skip
        self._results.add(result, made, plan.settings.fps)


def _advance(job: Job, count: int) -> None:
    job.done += count
    job.check_wanted()


class _Previews:
    """Decodes the estimate at a few steps of a job."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job, self._plan = job, plan
        self._due = [share * plan.evaluations for share in PREVIEWS]
        self._began, self._spent = time.monotonic(), 0.0

    def watch(self, estimate: Tensor) -> None:
        """``estimate``: (1, c, t, h, w)"""
        done = self._job.done + 1  # this evaluation is not counted yet
        start = time.monotonic()
        if not self._due or done < self._due[0] or self._spent > _MOST_SPENT * (start - self._began):
            return
        self._due = [due for due in self._due if due > done]
        plan = self._plan
        (video,) = plan.pipeline.decode(estimate, plan.settings.precision)
        self._job.preview = moving_picture(to_frames(video), plan.settings.fps)
        self._job.previews += 1
        self._spent += time.monotonic() - start


def plain(message: str) -> str:
    """An error about options as one about the controls of a page."""
    return message.removeprefix("command line: ").removeprefix("--")
