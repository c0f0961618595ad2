"""The discriminator: its size, its shapes, and the shift tolerance that blur-pooling promises."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from walt.autoencoder.config import DiscriminatorConfig
from walt.autoencoder.discriminator import Discriminator, DownBlock, SpaceTimeConv3d, blur_pool

TINY = DiscriminatorConfig(base_channels=4, channel_multipliers=(2, 2))
PAPER = DiscriminatorConfig(base_channels=128, channel_multipliers=(2, 4, 4, 4, 4))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_papers_size() -> None:
    with torch.device("meta"):
        model = Discriminator(PAPER)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(61e6, rel=0.02)


def test_the_papers_blocks_end_on_the_grid_of_the_linear_layers() -> None:
    """So that averaging to the grid changes nothing at 17x128x128."""
    model = Discriminator(PAPER.model_copy(update={"base_channels": 1}))
    x = model.conv_in(torch.zeros(1, 3, 17, 128, 128))
    frames = [17]
    for block in model.blocks:
        x = block(x)
        frames.append(x.shape[2])
    assert frames == [17, 9, 5, 3, 2, 1]
    assert x.shape[3:] == (4, 4)


@pytest.mark.parametrize("shape", [(17, 32, 32), (5, 16, 24), (1, 16, 16), (1, 8, 8)])
def test_any_size_gives_a_logit_a_video(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    model = Discriminator(TINY)
    video = noise(3, 3, *shape).float()
    logits = model(video)
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(model(video[1:2]), logits[1:2])  # each is classified alone
    with torch.autocast("cpu", torch.bfloat16):
        assert model(video).dtype == torch.float32


@pytest.mark.slow
def test_it_starts_with_logits_of_order_one_whatever_its_depth() -> None:
    torch.manual_seed(0)
    smooth = F.interpolate(noise(16, 3, 3, 4, 4).float(), (9, 64, 64), mode="trilinear")
    for multipliers in ((2, 2), (2, 4, 4, 4, 4)):
        spread = Discriminator(DiscriminatorConfig(base_channels=16, channel_multipliers=multipliers))(smooth).std()
        assert 0.02 < spread.item() < 3


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_a_convolution_of_few_frames_is_that_of_pytorch(frames: int) -> None:
    torch.manual_seed(0)
    conv = SpaceTimeConv3d(3, 5).double()
    video = noise(2, 3, frames, 6, 7)
    torch.testing.assert_close(conv(video), F.conv3d(video, conv.weight, conv.bias, padding=1))


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_gradients_in_bf16_are_those_in_fp32(frames: int) -> None:
    """Where it pads two frames itself, oneDNN returns garbage; what it holds depends on what memory held before."""
    torch.manual_seed(0)
    conv = SpaceTimeConv3d(8, 8)
    video = noise(4, 8, frames, 4, 4).float().contiguous(memory_format=torch.channels_last_3d)
    (expected,) = torch.autograd.grad(conv(video).square().sum(), conv.weight)
    for _ in range(10):
        used_before = [torch.full((size,), 1e30) for size in (100, 1000, 10000, 100000)]
        del used_before
        with torch.autocast("cpu", torch.bfloat16):
            loss = conv(video).float().square().sum()
        (found,) = torch.autograd.grad(loss, conv.weight)
        torch.testing.assert_close(found, expected, rtol=0, atol=0.03 * expected.abs().max().item())


# blur-pooling


def test_blur_pool_is_a_blur_and_a_stride() -> None:
    kernel = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
    kernel = kernel[:, None, None] * kernel[None, :, None] * kernel[None, None, :]
    for shape in ((17, 8, 9), (2, 3, 4), (5, 1, 6), (1, 4, 4)):
        x = noise(2, 3, *shape)
        padded = F.pad(x, (1,) * 6, mode="replicate")
        blurred = F.conv3d(padded, kernel.expand(3, 1, 3, 3, 3), groups=3)
        torch.testing.assert_close(blur_pool(x), blurred[:, :, ::2, ::2, ::2])


def test_blur_pool_rounds_sizes_up_and_keeps_a_constant() -> None:
    x = torch.full((1, 1, 17, 10, 7), 0.7)
    for expected in ((9, 5, 4), (5, 3, 2), (3, 2, 1), (2, 1, 1), (1, 1, 1), (1, 1, 1)):
        x = blur_pool(x)
        assert x.shape[2:] == expected
        torch.testing.assert_close(x, torch.full_like(x, 0.7))


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_the_highest_frequency_is_gone_inside(axis: int) -> None:
    """A plain stride would fold +1, -1, +1, ... onto the constant +1."""
    shape = [1, 1, 1, 1, 1]
    shape[axis] = 16
    pattern = torch.tensor([1.0, -1.0]).repeat(8).view(shape).expand(1, 1, 16, 16, 16)
    assert blur_pool(pattern).narrow(axis, 1, 7).abs().max() == 0.0
    assert pattern[:, :, ::2, ::2, ::2].abs().min() == 1.0


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_a_shift_by_two_shifts_the_output_by_one(axis: int) -> None:
    x = noise(1, 2, 16, 16, 16)
    shifted = blur_pool(x.roll(2, dims=axis))
    torch.testing.assert_close(shifted.narrow(axis, 2, 6), blur_pool(x).narrow(axis, 1, 6), rtol=0, atol=0)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_a_shift_by_one_changes_less_than_with_a_plain_stride(axis: int) -> None:
    x = noise(1, 2, 16, 16, 16)

    def change(pool: object) -> float:
        assert callable(pool)
        before, after = pool(x), pool(x.roll(1, dims=axis))
        return ((after - before).narrow(axis, 1, 6).square().mean() / before.square().mean()).item()

    blurred, strided = change(blur_pool), change(lambda v: v[:, :, ::2, ::2, ::2])
    assert blurred < 0.7 * strided


def test_a_block_passes_a_shift_by_two_on_as_a_shift_by_one() -> None:
    torch.manual_seed(0)
    block = DownBlock(3, 4).double()
    x = noise(1, 3, 3, 24, 24)
    shifted = block(x.roll((2, 2), dims=(3, 4)))
    torch.testing.assert_close(shifted[..., 3:-2, 3:-2], block(x)[..., 2:-3, 2:-3])


def test_blur_pool_can_be_differentiated_twice() -> None:
    x = noise(1, 1, 3, 4, 5).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda v: blur_pool(v).square(), (x,))
