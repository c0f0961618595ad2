"""Long videos: whether a seam is left, on models of which it is known what they must make.

The autoencoder here loses nothing: a latent frame is four grey levels. Its decoder writes into a second colour at which
place of its part it rendered a frame. The transformer continues the linear motion that it is given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.tiny_models import AUTOENCODER, BASE, DIFFUSION, SAMPLE, SUPER_RESOLUTION
from walt.autoencoder.statistics import LatentStatistics
from walt.core.errors import ConfigurationError
from walt.diffusion.schedule import Schedule
from walt.sampling.long_video import check_continuation, last_frames, long_video, parts_for
from walt.sampling.prompt_to_video import Beginning, Pipeline
from walt.transformer.config import TransformerConfig

LEVEL = 1 / 128  # of grey, a frame
SCHEDULE = Schedule.from_config(DIFFUSION)
FRAMES = BASE.model_copy(
    update={
        "latent_grid": (5, 2, 2), "spatiotemporal_window": (5, 2, 2), "frame_prediction": True, "conditioning": "none",
        "text_width": None, "cross_attention": None,
    }
)  # fmt: skip
CASCADE = SAMPLE.model_copy(update={"guidance_scale": 1.0, "frame_guidance_scale": 1.0})
SINGLE = CASCADE.model_copy(update={"cascade": False})


class Levels:
    """The autoencoder: video (B, 3, 1 + 4n, H, W) <-> latents (B, 4, 1 + n, H, W), of the first colour alone."""

    config = AUTOENCODER  # f_t = 4

    def encode(self, video: Tensor) -> tuple[Tensor, Tensor]:
        grey = video[:, 0]
        first = grey[:, None, :1].expand(-1, 4, -1, -1, -1)
        latents = torch.cat([first, grey[:, 1:].unflatten(1, (-1, 4)).transpose(1, 2)], dim=2)
        return latents, torch.zeros_like(latents)

    def decode(self, latents: Tensor) -> Tensor:
        grey = torch.cat([latents[:, 0, :1], latents[:, :, 1:].transpose(1, 2).flatten(1, 2)], dim=1)  # (B, T, H, W)
        place = (LEVEL * torch.arange(grey.shape[1])).view(1, -1, 1, 1).expand_as(grey)
        return torch.stack([grey, place, torch.zeros_like(grey)], dim=1)


class Mover:
    """The transformer: grey grows by one level per frame, from 0 or from where what is known ends."""

    def __init__(self, config: TransformerConfig = FRAMES) -> None:
        self.config = config
        self.known: list[Tensor] = []
        self.noise: list[Tensor] = []

    def __call__(
        self, x: Tensor, steps: Tensor, known: Tensor | None = None, known_frames: Tensor | None = None, **_: Any
    ) -> Tensor:
        frames = torch.arange(1 + 4 * (x.shape[2] - 1)).view(1, -1, 1, 1)
        start = torch.zeros(len(x), 1, *x.shape[3:])
        if known is not None:
            assert known_frames is not None
            count = int(known_frames[0])
            last = Levels().decode(known[:, :, :count])[:, 0, -2:]
            step = last[:, 1:] - last[:, :1] if count == 2 else torch.full_like(last[:, -1:], LEVEL)
            start = last[:, -1:] - (4 * count - 4) * step
            if int(steps[0]) == DIFFUSION.num_steps - 1:
                self.known.append(known[:, :, :count])
        if int(steps[0]) == DIFFUSION.num_steps - 1:
            self.noise.append(x)
        x0, _ = Levels().encode((start + LEVEL * frames)[:, None])
        signal, sigma = SCHEDULE.coefficients(steps, x)
        return (signal * x - x0) / sigma  # v


def pipeline_of(base: Any, *super_resolutions: Any) -> Pipeline:
    autoencoder: Any = Levels()
    unchanged = LatentStatistics(torch.zeros(4), torch.ones(4), 2)
    return Pipeline(None, base, super_resolutions, autoencoder, unchanged, SCHEDULE, "cpu", {})


def make(pipeline: Pipeline, parts: int, beginning: Beginning | None = None, videos: int = 1) -> Tensor:
    made = long_video(pipeline, [None] * videos, 0, SINGLE, parts=parts, beginning=beginning)
    return torch.cat([part.videos for part in made], dim=2)


def numbers(video: Tensor, colour: int = 0) -> list[int]:
    """Levels of a video (3, T, H, W), one number per frame; all its pixels must have it."""
    levels = video[colour] / LEVEL
    assert (levels - levels.round()).abs().max() < 1e-2
    assert (levels.amax((1, 2)) - levels.amin((1, 2))).max() < 1e-2
    return [round(float(level)) for level in levels.mean((1, 2))]


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_no_frame_is_doubled_or_left_out(parts: int) -> None:
    model = Mover()
    videos = make(pipeline_of(model), parts, videos=2)
    assert videos.shape == (2, 3, 17 + 12 * (parts - 1), 2, 2)
    for video in videos:
        assert numbers(video) == list(range(17 + 12 * (parts - 1)))


def test_shared_frames_are_the_earlier_ones_and_are_given_to_the_next_part() -> None:
    model = Mover()
    (video,) = make(pipeline_of(model), 3)
    assert numbers(video, colour=1) == [*range(17), *range(5, 17), *range(5, 17)]
    for known, end in zip(model.known, (17, 29), strict=True):
        shown, _ = Levels().encode(video[None, :, end - 5 : end])
        assert torch.equal(known, shown)


def test_each_part_has_noise_of_its_own() -> None:
    model = Mover()
    make(pipeline_of(model), 3, videos=2)
    draws = [draw for noise in model.noise for draw in noise]
    assert len(draws) == 6
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])


def test_a_given_video_continues_where_it_ends_and_is_not_shown_again() -> None:
    given = torch.zeros(1, 3, 30, 2, 2) + (LEVEL * torch.arange(30)).view(1, 1, -1, 1, 1)
    pipeline = pipeline_of(Mover())
    (video,) = make(pipeline, 2, last_frames(pipeline, [given]))
    assert numbers(video) == list(range(30, 30 + 24))


def test_an_image_is_the_first_frame() -> None:
    image = torch.full((1, 3, 1, 2, 2), 7 * LEVEL)
    (video,) = make(pipeline_of(Mover()), 2, Beginning((image,)))
    assert numbers(video) == list(range(7, 7 + 29))


def test_parts_may_be_shorter_than_what_they_share() -> None:
    """Three latent frames: each part adds four pixel frames, and shares five."""
    small = FRAMES.model_copy(update={"latent_grid": (3, 2, 2), "spatiotemporal_window": (3, 2, 2)})
    (video,) = make(pipeline_of(Mover(small)), 4)
    assert numbers(video) == list(range(9 + 3 * 4))
    assert numbers(video, colour=1) == [*range(9), *[5, 6, 7, 8] * 3]


@pytest.mark.parametrize(
    ("num_frames", "parts", "continued"), [(1, 1, 1), (17, 1, 2), (18, 2, 2), (29, 2, 3), (30, 3, 3), (12, 1, 1)]
)
def test_how_many_parts_a_length_takes(num_frames: int, parts: int, continued: int) -> None:
    pipeline = pipeline_of(Mover())
    image, video = (Beginning((torch.zeros(1, 3, frames, 2, 2),)) for frames in (1, 5))
    assert [parts_for(pipeline, num_frames, start, cascade=False) for start in (None, image)] == [parts, parts]
    assert parts_for(pipeline, num_frames, video, cascade=False) == continued


def test_each_model_of_the_cascade_is_given_its_own_resolution() -> None:
    high = SUPER_RESOLUTION.model_copy(
        update={"latent_grid": (5, 4, 4), "frame_prediction": True, "conditioning": "none", "text_width": None}
    )
    higher = high.model_copy(update={"latent_grid": (5, 8, 8)})
    models = Mover(), Mover(high), Mover(higher)
    made = list(long_video(pipeline_of(*models), [None], 0, CASCADE, parts=3))
    for part, frames in ((made[0], 17), (made[1], 12)):
        assert [videos.shape for videos in part.cascade] == [(1, 3, frames, side, side) for side in (2, 4, 8)]
        assert part.videos is part.cascade[2]
        assert part.base_videos is part.cascade[0]
    (video,) = torch.cat([part.videos for part in made], dim=2)
    assert numbers(video) == list(range(17 + 24))
    assert numbers(video, colour=1) == [*range(17), *range(5, 17), *range(5, 17)]
    for model, side in zip(models, (2, 4, 8), strict=True):
        assert [known.shape for known in model.known] == [(1, 4, 2, side, side)] * 2


@pytest.mark.parametrize(
    ("base", "high", "message"),
    [
        ({"frame_prediction": False}, {}, r"^base\.frame_prediction is false"),
        ({"latent_grid": (2, 2, 2)}, {}, r"^base\.latent_grid has 2 frames"),
        ({}, {"frame_prediction": False}, r"^sr_2x\.frame_prediction is false .*--no-cascade"),
    ],
)
def test_models_that_cannot_continue_name_the_setting(base: dict[str, Any], high: dict[str, Any], message: str) -> None:
    settings = {"frame_prediction": True} | high
    pipeline = pipeline_of(Mover(FRAMES.model_copy(update=base)), Mover(SUPER_RESOLUTION.model_copy(update=settings)))
    with pytest.raises(ConfigurationError, match=message) as caught:
        list(long_video(pipeline, [None], 0, CASCADE, parts=2))
    assert "\n" not in str(caught.value)
    if high:
        check_continuation(replace(pipeline, super_resolutions=()), cascade=False)
