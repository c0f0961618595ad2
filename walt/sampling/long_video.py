"""Long videos, part by part: each continues the last frames of the video so far (paper section 3.3).

A part has 1 + f_t (t - 1) frames, 17 in the paper. The last 1 + f_t = 5 frames of the video so far are encoded to two
latent frames, which the next part is given as known; so each part after the first adds f_t (t - 2) = 12 frames.

A part also renders the 5 frames that it shares with the video so far. Those are dropped, and the earlier frames stay
as they are. So a file that is continued keeps its own frames, no frame goes through the autoencoder again with each
part, and a frame that was shown is the one that the next part was given. The decoder is causal and sees the known
latents first, so the first new frame follows them. Fading from the old rendering to the new one would show two pictures
at once wherever they differ.

Legend: B videos, T pixel frames, t latent frames of a part, f_t pixel frames per latent frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from walt.core.errors import ConfigurationError
from walt.core.transformers import SUPER_RESOLUTION_NAMES
from walt.sampling.config import SampleConfig
from walt.sampling.denoise import Progress, Watch
from walt.sampling.prompt_inputs import Prompt
from walt.sampling.prompt_to_video import Beginning, Pipeline, SampleBatch


def first_part_frames(pipeline: Pipeline) -> int:
    """Pixel frames of a part: 17 in the paper."""
    return 1 + pipeline.autoencoder.config.temporal_factor * (pipeline.base.config.latent_grid[0] - 1)


def added_frames(pipeline: Pipeline) -> int:
    """Pixel frames that a part adds to the video so far: 12 in the paper."""
    return first_part_frames(pipeline) - pipeline.overlap


def parts_for(pipeline: Pipeline, num_frames: int, beginning: Beginning | None, cascade: bool) -> int:
    """Parts that make at least ``num_frames`` frames, besides those of a video that is continued.

    Raises:
        ConfigurationError: more than one is needed, and the models cannot continue a video.
    """
    continued = beginning is not None and beginning.num_frames > 1
    missing = num_frames if continued else num_frames - first_part_frames(pipeline)
    if missing <= 0:
        return 1
    check_continuation(pipeline, cascade)
    return math.ceil(missing / added_frames(pipeline)) + (0 if continued else 1)


def check_continuation(pipeline: Pipeline, cascade: bool) -> None:
    """Raise ConfigurationError, naming the setting, where these models cannot continue a video without a seam."""
    pipeline.check_beginning()
    frames = pipeline.base.config.latent_grid[0]
    if frames <= 2:
        raise ConfigurationError(f"base.latent_grid has {frames} frames: nothing is left beside the two known ones")
    for name, model in zip(SUPER_RESOLUTION_NAMES, pipeline.followers(cascade), strict=False):
        if not model.config.frame_prediction:
            raise ConfigurationError(
                f"{name}.frame_prediction is false in the trained model: it would make other details for each part "
                "of a long video; without the cascade it can be made (--no-cascade)"
            )


def last_frames(pipeline: Pipeline, cascade: Sequence[Tensor]) -> Beginning:
    """What a continuation is given of videos, (B, 3, T, H, W) in the resolution of each model, T at least
    ``pipeline.overlap``."""
    assert cascade[0].shape[2] >= pipeline.overlap, f"{cascade[0].shape[2]} frames are too few to continue"
    return Beginning(tuple(videos[:, :, -pipeline.overlap :] for videos in cascade))


def long_video(
    pipeline: Pipeline,
    prompts: Sequence[Prompt],
    seed: int | Sequence[int],
    config: SampleConfig,
    *,
    parts: int,
    beginning: Beginning | None = None,
    indices: Sequence[int] | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Iterator[SampleBatch]:
    """Generate videos part by part.

    Args:
        parts: how many; see ``parts_for``.
        beginning: an image (one frame), which the first part shows; or the last frames of a video (``last_frames``),
            which no part shows again.

    Yields:
        The frames that each part adds: 17 in the first, where no video is continued, else 12.

    Raises:
        ConfigurationError: the models cannot continue a video.
    """
    continued = beginning is not None and beginning.num_frames > 1
    if continued or parts > 1:
        check_continuation(pipeline, config.cascade)
    for part in range(parts):
        batch = pipeline(
            prompts, seed, config, indices=indices, part=part, beginning=beginning, progress=progress, watch=watch
        )  # (B, 3, T, H, W)
        given = beginning if continued else None
        added = _added(batch, pipeline.overlap) if continued else batch
        yield added
        beginning, continued = _next_beginning(pipeline, given, added), True


def video_parts(
    pipeline: Pipeline,
    prompts: Sequence[Prompt],
    seeds: Sequence[int],
    config: SampleConfig,
    *,
    parts: int = 1,
    beginning: Beginning | None = None,
    stills: bool = False,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Iterator[Tensor]:
    """The final videos of one call for each prompt with its seed, part by part: (B, 3, T, H, W) in [-1, 1] on the CPU.

    Args:
        beginning: of all of them, with B = 1.
        stills: one picture each (T = 1) instead.

    Raises:
        ConfigurationError: as ``long_video``, or the models make no stills.
    """
    indices = [0] * len(prompts)  # a video depends on its own prompt and seed
    if stills:
        yield pipeline(
            prompts, seeds, config, indices=indices, beginning=beginning, stills=True, progress=progress
        ).videos
        return
    if beginning is not None:
        beginning = Beginning(tuple(frames.expand(len(prompts), -1, -1, -1, -1) for frames in beginning.cascade))
    for part in long_video(
        pipeline, prompts, seeds, config, parts=parts, beginning=beginning, indices=indices, progress=progress,
        watch=watch,
    ):  # fmt: skip
        yield part.videos


def _added(batch: SampleBatch, overlap: int) -> SampleBatch:
    """A part without the frames that were made before."""
    return SampleBatch(batch.prompts, tuple(videos[:, :, overlap:] for videos in batch.cascade))


def _next_beginning(pipeline: Pipeline, given: Beginning | None, added: SampleBatch) -> Beginning:
    """The last frames of the video so far: a part may add fewer than the next one needs."""
    if given is None:
        return last_frames(pipeline, added.cascade)
    pairs = zip(given.cascade, added.cascade, strict=True)
    return last_frames(pipeline, [torch.cat(pair, dim=2) for pair in pairs])
