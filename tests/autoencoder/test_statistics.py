"""Statistics of some clips' latents say how far they may be from those of all."""

from __future__ import annotations

import math

import pytest
import torch

from walt.autoencoder.statistics import LatentStatistics, Moments, RunningStatistics, moments, standard_errors


def clips_of(count: int) -> list[Moments]:
    """Clips whose means and spreads differ, with more or fewer cells."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for number in range(count):
        cells = 4 if number % 3 else 12
        centre, spread = torch.randn(2, 1, generator=draw), 0.5 + torch.rand(2, 1, generator=draw)
        latents = centre + spread * torch.randn(2, cells, generator=draw)
        found += moments(latents[None, :, None, None])
    return found


def statistics_of(clips: list[Moments]) -> LatentStatistics:
    running = RunningStatistics(2)
    for clip in clips:
        running.add(clip)
    return running.result()


@pytest.mark.slow
def test_the_stated_errors_are_those_that_many_draws_show() -> None:
    clips = clips_of(600)
    every = statistics_of(clips)
    draw, misses, stated = torch.Generator().manual_seed(1), [], []
    for _ in range(200):
        some = [clips[place] for place in torch.randperm(len(clips), generator=draw)[:60].tolist()]
        found = statistics_of(some)
        misses.append(torch.stack([(found.mean - every.mean) / every.std, (found.std - every.std) / every.std]))
        stated.append(standard_errors(some, len(clips), found))
    seen = torch.stack(misses).square().mean(0).sqrt().amax(1)
    assert torch.allclose(torch.tensor(stated).mean(0), seen, rtol=0.25), (seen, torch.tensor(stated).mean(0))


def test_all_clips_leave_no_error_and_one_says_nothing() -> None:
    clips = clips_of(6)
    assert standard_errors(clips, 6, statistics_of(clips)) == (0.0, 0.0)
    assert standard_errors(clips[:1], 6, statistics_of(clips[:1])) == (math.inf, math.inf)
