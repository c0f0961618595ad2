"""What ``walt ui`` does, whoever asks: the page and the HTTP interface call nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from walt.commands.sample.generate import Request, settings_of
from walt.commands.ui.catalogue import Catalogue, describe
from walt.commands.ui.jobs import Queue
from walt.commands.ui.orders import JobView, LimitsView, ModelView, Order, ResultView
from walt.commands.ui.results import Results
from walt.commands.ui.uploads import Decoder, Uploads
from walt.commands.ui.worker import Worker
from walt.core.compute import ComputeConfig
from walt.core.errors import ConfigurationError
from walt.core.paths import located
from walt.nn.device import select_device
from walt.project.runner import load_params
from walt.sampling.aspect import parse_aspect
from walt.sampling.config import SampleConfig

FOLDER = "samples/ui"
"""Below the project's root: results, and uploads in a folder of their own."""


@dataclass(frozen=True)
class Settings:
    """What a server takes, and how much it keeps."""

    seconds: float
    """Longest video that is made."""
    upload_megabytes: float
    uploads_megabytes: float
    """Of all uploads that are kept together."""
    upload_seconds: float
    """Longest video that is gone on from."""
    waiting: int
    """Jobs that wait at the same time."""
    loaded: int
    """Sets of models that stay loaded on each device."""


class Studio:
    """Models, queue, uploads and results of one project."""

    def __init__(self, root: Path, folder: Path, settings: Settings, folders: Sequence[str] = ()) -> None:
        """Read what is there; ``start`` begins to work.

        Args:
            folder: for results and uploads; the caller holds its lock.
            folders: other projects whose models are offered.

        Raises:
            ConfigurationError: the parameters are wrong, or a folder is missing. StorageError: ``folder``.
        """
        params = load_params(root)
        self.settings = settings
        self.catalogue = Catalogue(root, folders)
        for offered in folders:
            if not located(root, offered).is_dir():
                raise ConfigurationError(
                    f"--model {offered}: no such folder; the registry's releases are offered anyway"
                )
            self.catalogue.find(offered)
        self.results = Results(folder)
        decoder = Decoder(params.compute, params.ingest.timeout_seconds, params.ingest.memory_mb)
        self.queue = Queue(settings.waiting)
        self.uploads = Uploads(
            folder / "uploads", decoder, params.ingest.max_pixels, settings.upload_seconds,
            round(settings.uploads_megabytes * 1e6), self._needed_uploads,
        )  # fmt: skip
        self.workers = [
            Worker(device, self.queue, self.results, decoder, settings.loaded) for device in devices(params.compute)
        ]

    def start(self) -> None:
        """Begin with the first job."""
        for worker in self.workers:
            worker.start()

    def limits(self) -> LimitsView:
        """Of one order."""
        own = self.settings
        return LimitsView(
            seconds=own.seconds, upload_megabytes=own.upload_megabytes, uploads_megabytes=own.uploads_megabytes,
            upload_seconds=own.upload_seconds, waiting=own.waiting,
        )  # fmt: skip

    def delete(self, result: str) -> ResultView | None:
        """Delete a finished video, and the upload that it began with where nothing else needs it."""
        found = self.results.remove(result)
        if found is not None:
            self.uploads.remove_unneeded(found.order.image or found.order.video)
        return found

    def _needed_uploads(self) -> set[str]:
        orders = [job.order for job in self.queue.views() if job.state in ("waiting", "running")]
        orders += [result.order for result in self.results.newest()]
        return {upload for order in orders for upload in (order.image, order.video) if upload is not None}

    def describe(self, address: str, with_cascade: bool | None = None) -> ModelView:
        """What can be asked of some models. Raises as ``Catalogue.find`` and ``describe``."""
        return describe(self.catalogue.find(address), with_cascade)

    def submit(self, order: Order) -> JobView:
        """Check an order as far as that needs no model, and put it into the queue.

        Raises:
            FullError: too many wait. ConfigurationError: what is wrong with the order. Others as ``describe``.
        """
        models = self.catalogue.find(order.model)
        settings = settings_of(self._request(order), models.params)
        able = describe(models, settings.cascade)
        self._check(order, able, settings)
        order = completed(order, models.address, settings, models.params.seed)
        job = self.queue.submit(order, self._request(order), models, able.name)
        view = self.queue.view(job.id)
        assert view is not None
        return view

    def _request(self, order: Order) -> Request:
        """The same as options of ``walt sample``."""
        return Request(
            model=order.model or None,
            prompts=() if order.prompt is None else (order.prompt,),
            classes=() if order.class_index is None else (order.class_index,),
            image=None if order.image is None else self.uploads.get(order.image, "image"),
            continued=None if order.video is None else self.uploads.get(order.video, "video"),
            seconds=order.seconds, aspect=order.aspect, seed=order.seed, steps=order.steps, guidance=order.guidance,
            cascade=order.cascade, formats=("mp4",),
        )  # fmt: skip

    def _check(self, order: Order, able: ModelView, settings: SampleConfig) -> None:
        """Raise ConfigurationError for what would fail later, when its turn comes."""
        given = order.image or order.video
        if order.image and order.video:
            raise ConfigurationError("image and video both say how it begins: give one")
        if order.image and able.no_image:
            raise ConfigurationError(f"image: {able.no_image}")
        if order.video and able.no_video:
            raise ConfigurationError(f"video: {able.no_video}")
        wanted = {"text": "prompt", "class": "class_index", "none": None}[able.conditioning]
        for name, value in (("prompt", order.prompt), ("class_index", order.class_index)):
            if value is not None and name != wanted:
                raise ConfigurationError(f"{name}: the model takes {wanted or 'none'}")
        if wanted is not None and getattr(order, wanted) is None and not (given and wanted == "prompt"):
            raise ConfigurationError(f"{wanted}: missing: the model needs it")
        if order.class_index is not None and order.class_index >= (able.num_classes or 0):
            raise ConfigurationError(f"class_index: the model's classes are 0 to {(able.num_classes or 0) - 1}")
        if order.seconds is not None and order.seconds > self.settings.seconds:
            raise ConfigurationError(f"seconds: at most {self.settings.seconds:g} s are made here")
        if order.seconds is not None and order.seconds > able.seconds and able.no_video:
            raise ConfigurationError(f"seconds: at most {able.seconds:g}: {able.no_video}")
        if order.aspect is not None:
            parse_aspect(order.aspect)
        if settings.cascade and not able.super_resolution:
            raise ConfigurationError("cascade: there is no super-resolution model")


def completed(order: Order, address: str, settings: SampleConfig, seed: int) -> Order:
    """The order with the values that are used where none were given: the same again, whatever becomes the default.

    Args:
        address: of a version, where the order names an alias.
    """
    used = {
        "model": address,
        "seed": seed if order.seed is None else order.seed,
        "steps": settings.steps,
        "cascade": settings.cascade,
    }
    if settings.frame_guidance_scale == settings.guidance_scale:  # else one number does not say both
        used["guidance"] = settings.guidance_scale
    return order.model_copy(update=used)


def devices(compute: ComputeConfig) -> list[str]:
    """All that videos are made on: every GPU, or the processor once."""
    device = select_device(compute.device)
    if device != "cuda":
        return [device]
    count = torch.cuda.device_count() if compute.devices == "auto" else compute.devices
    return [f"cuda:{number}" for number in range(min(count, torch.cuda.device_count()))]
