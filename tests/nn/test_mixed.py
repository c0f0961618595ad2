"""Batches of videos and stacks of images."""

from __future__ import annotations

import pytest
import torch

from walt.nn.mixed import arrange, by_kind
from walt.nn.positions import AbsolutePosition


@pytest.mark.parametrize(
    ("images", "videos"),
    [(False, 4), (True, 0), (torch.zeros(4, dtype=torch.bool), 4), (torch.ones(4, dtype=torch.bool), 0)],
)
def test_a_batch_of_one_kind_keeps_its_order(images: bool | torch.Tensor, videos: int) -> None:
    rows, x = arrange(images, 4), torch.randn(4, 3)
    assert rows.videos == videos
    assert rows.sort(x) is x
    assert rows.restore(x) is x


def test_videos_come_first_and_everything_returns_to_its_place() -> None:
    rows = arrange(torch.tensor([True, False, True, True, False, False]), 6)
    x = torch.arange(6)
    assert rows.videos == 3
    assert rows.sort(x).tolist() == [1, 4, 5, 0, 2, 3]
    assert torch.equal(rows.restore(rows.sort(x)), x)


@pytest.mark.parametrize("videos", [0, 1, 3])
def test_each_kind_has_its_function(videos: int) -> None:
    expected = [1.0] * videos + [-1.0] * (3 - videos)
    assert by_kind(torch.ones(3), videos, lambda x: x, lambda x: -x).tolist() == expected


def test_images_are_at_time_zero_and_may_be_of_any_number() -> None:
    position = AbsolutePosition((3, 2, 2), 4)
    torch.nn.init.normal_(position.time)
    time = position(torch.zeros(2, 3, 2, 2, 4), videos=1)[:, :, 0, 0]
    assert torch.equal(time[0], position.time)
    assert torch.equal(time[1], position.time[:1].expand(3, -1))
    assert position(torch.zeros(1, 5, 2, 2, 4), videos=0).shape == (1, 5, 2, 2, 4)
    with pytest.raises(AssertionError, match="times for 3"):
        position(torch.zeros(1, 5, 2, 2, 4), videos=1)
