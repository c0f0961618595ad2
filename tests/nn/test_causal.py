"""The causal layers: edges, causality, and the one-frame path."""

from __future__ import annotations

import pytest
import torch

from walt.nn.causal import (
    AdaptiveGroupNorm,
    CausalConv3d,
    DepthToSpaceUpsample,
    FrameGroupNorm,
    ResidualBlock,
)


def video(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (2, 2, 2)), ((4, 4, 4), (2, 2, 2)), ((3, 3, 3), (1, 2, 2))],
)
def test_convolution_is_causal_and_halves_what_it_should(
    kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    conv = CausalConv3d(2, 3, kernel, stride).double()
    x = video(1, 2, 9, 8, 8)
    y = conv(x)
    assert y.shape == (1, 3, 1 + 8 // stride[0], 8 // stride[1], 8 // stride[2])
    for frame in range(1, 9):
        changed = x.clone()
        changed[:, :, frame:] += 1
        first = -(-frame // stride[0])  # the first output frame that may see input frame `frame`
        assert torch.equal(conv(changed)[:, :, :first], y[:, :, :first])
        assert not torch.equal(conv(changed)[:, :, first:], y[:, :, first:])


@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2), (1, 2, 2)])
def test_one_frame_is_the_first_frame_of_a_video(stride: tuple[int, int, int]) -> None:
    conv = CausalConv3d(2, 3, (3, 3, 3), stride).double()
    x = video(2, 2, 5, 8, 8)
    torch.testing.assert_close(conv(x[:, :, :1]), conv(x)[:, :, :1])


def test_norm_sees_one_frame_only() -> None:
    norm = FrameGroupNorm(2, 4).double()
    x = video(2, 4, 3, 5, 5)
    alone = torch.cat([norm(x[:, :, i : i + 1]) for i in range(3)], dim=2)
    torch.testing.assert_close(norm(x), alone)


def test_adaptive_norm_starts_as_plain_norm_and_then_follows_the_latents() -> None:
    norm = AdaptiveGroupNorm(2, 4, latent_channels=3).double()
    x, latents = video(1, 4, 9, 8, 8), video(1, 3, 5, 4, 4, seed=1)
    torch.testing.assert_close(norm(x, latents), norm.norm(x))
    torch.nn.init.normal_(norm.scale.weight)
    changed = latents.clone()
    changed[:, :, 3:] += 1  # latent frame 3 covers frames 5 and 6
    difference = (norm(x, changed) - norm(x, latents)).abs().amax(dim=(0, 1, 3, 4))
    assert torch.equal(difference > 0, torch.tensor([False] * 5 + [True] * 4))


@pytest.mark.parametrize(("temporal", "frames"), [(True, 9), (False, 5)])
def test_upsample_keeps_the_first_frame_alone(temporal: bool, frames: int) -> None:
    up = DepthToSpaceUpsample(4, 4, temporal).double()
    x = video(1, 4, 5, 3, 3)
    assert up(x).shape == (1, 4, frames, 6, 6)
    torch.testing.assert_close(up(x[:, :, :1]), up(x)[:, :, :1])


def test_residual_block_is_the_identity_when_its_last_convolution_is_zero() -> None:
    block = ResidualBlock(4, 4, groups=2).double()
    torch.nn.init.zeros_(block.conv2.weight)
    x = video(1, 4, 5, 4, 4)
    torch.testing.assert_close(block(x), x)
