"""What ``walt sample`` and ``walt ui`` make of a checked request: one function for both, so that both make the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from walt.core.sizes import size_folder
from walt.sampling.config import SampleConfig
from walt.sampling.denoise import Progress, Watch
from walt.sampling.long_video import video_parts
from walt.sampling.output import Video, to_frames
from walt.sampling.prompt_inputs import Prompt, describe_prompt
from walt.sampling.prompt_to_video import Beginning, Pipeline
from walt.stages.sample import model_settings


@dataclass(frozen=True)
class Start:
    """The frames that are given."""

    frames: Video | None = None
    """All frames of the continued video, (T, H, W, 3)."""
    beginning: Beginning | None = None
    source: dict[str, str] | None = None
    """Name and digest of the file."""


@dataclass(frozen=True)
class Job:
    """One video to make."""

    prompt: Prompt
    seed: int
    name: str


@dataclass(frozen=True)
class Made:
    """One video."""

    job: Job
    frames: Video
    """(T, H, W, 3)"""
    about: dict[str, Any]
    """Its metadata: everything needed to make it again."""


@dataclass(frozen=True)
class Plan:
    """All that videos depend on, checked before anything is generated."""

    pipeline: Pipeline
    settings: SampleConfig
    jobs: tuple[Job, ...]
    start: Start
    parts: int
    """Of each video (``walt.sampling.long_video``)."""
    notes: tuple[str, ...]
    """Lines for whoever asked: what of the prompts is not seen."""
    stills: bool = False

    @property
    def evaluations(self) -> int:
        """Evaluations of the models for all videos: what ``progress`` counts to."""
        models = 1 + len(self.pipeline.followers(self.settings.cascade))
        return len(self.jobs) * self.parts * self.settings.steps * models

    def make(self, progress: Progress, watch: Watch | None = None) -> Iterator[Made]:
        """Each video, batch by batch. An exception that ``progress`` or ``watch`` raises ends it."""
        for first in range(0, len(self.jobs), self.settings.batch_size):
            batch = self.jobs[first : first + self.settings.batch_size]
            videos = self._videos(batch, progress, watch)
            for job, video in zip(batch, videos, strict=True):
                yield Made(job, video, self._about(job, video))

    def _videos(self, batch: tuple[Job, ...], progress: Progress, watch: Watch | None) -> list[Video]:
        pieces: list[list[Video]] = [[] if self.start.frames is None else [self.start.frames] for _ in batch]
        for part in video_parts(
            self.pipeline, [job.prompt for job in batch], [job.seed for job in batch], self.settings, parts=self.parts,
            beginning=self.start.beginning, stills=self.stills, progress=progress, watch=watch,
        ):  # fmt: skip
            for own, video in zip(pieces, part, strict=True):
                own.append(to_frames(video))
        return [np.concatenate(own) for own in pieces]

    def _about(self, job: Job, video: Video) -> dict[str, Any]:
        return {
            "prompt": describe_prompt(job.prompt),
            "seed": job.seed,
            "settings": model_settings(self.settings),
            "models": dict(self.pipeline.versions),
            "frames": len(video),
            "size": size_folder((video.shape[1], video.shape[2])),
            "source": self.start.source,
        }
