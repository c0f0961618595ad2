"""The terms of both models' losses against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from walt.autoencoder.config import DiscriminatorConfig
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.losses import LeCam, discriminator_loss, generator_loss, perceptual_loss, r1_penalty


class Linear(nn.Module):
    """D(x) = <w, x> + 3: its gradient is w everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, video: Tensor) -> Tensor:
        return (video * self.weight).sum(dim=(1, 2, 3, 4)) + 3.0


class Quadratic(nn.Module):
    """D(x) = a |x|^2 / 2: its gradient is a x."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, video: Tensor) -> Tensor:
        return 0.5 * self.a * video.square().sum(dim=(1, 2, 3, 4))


def videos(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# adversarial


def test_adversarial_losses_are_the_negative_log_likelihoods() -> None:
    real, fake = torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 0.5, 3.0])
    log_sigmoid = [
        [-math.log(1 + math.exp(-x)) for x in xs] for xs in ([-1.0, 0.5, 3.0], [0.0, 2.0], [1.0, -0.5, -3.0])
    ]
    generator, real_part, fake_part = (-sum(values) / len(values) for values in log_sigmoid)
    assert generator_loss(fake).item() == pytest.approx(generator)
    assert discriminator_loss(real, fake).item() == pytest.approx(real_part + fake_part)


def test_the_generators_loss_does_not_saturate() -> None:
    """Where the discriminator is sure of a fake, the gradient is -1: not 0 as with log(1 - D)."""
    logits = torch.tensor([-40.0], requires_grad=True)
    generator_loss(logits).backward()
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(-1.0)


def test_each_loss_rewards_what_the_other_punishes() -> None:
    fake = torch.zeros(3)
    assert generator_loss(fake + 1) < generator_loss(fake)
    assert discriminator_loss(fake, fake + 1) > discriminator_loss(fake, fake)


# R1


def test_r1_of_a_linear_discriminator_is_half_its_weights_square() -> None:
    weight = videos(3, 2, 4, 4)
    discriminator = Linear(weight)
    for batch in (1, 5):
        penalty = r1_penalty(discriminator, videos(batch, 3, 2, 4, 4))
        torch.testing.assert_close(penalty, 0.5 * weight.square().sum())
    penalty.backward()  # the penalty's own gradient: d (|w|^2 / 2) / dw = w
    torch.testing.assert_close(discriminator.weight.grad, weight)


def test_r1_of_a_quadratic_discriminator_is_taken_at_the_videos() -> None:
    video = videos(4, 3, 2, 4, 4)
    discriminator = Quadratic(0.3)
    penalty = r1_penalty(discriminator, video)
    square = video.square().sum(dim=(1, 2, 3, 4)).mean()
    torch.testing.assert_close(penalty, 0.5 * 0.09 * square)
    penalty.backward()
    torch.testing.assert_close(discriminator.a.grad, 0.3 * square)
    assert not video.requires_grad


def test_r1_is_in_full_precision_inside_autocast() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorConfig(base_channels=4, channel_multipliers=(2, 2)))
    video = videos(2, 3, 5, 8, 8)
    expected = r1_penalty(discriminator, video)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(r1_penalty(discriminator, video), expected)
        assert not torch.equal(discriminator(video), discriminator(video.double().float() + 1e-3))  # autocast is on
    assert expected.dtype == torch.float32


def test_r1s_gradient_through_the_discriminator_is_right() -> None:
    """The gradient of a gradient, against finite differences, in all layers' weights."""
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorConfig(base_channels=2, channel_multipliers=(2, 1))).double()
    video = videos(2, 3, 3, 8, 8).double()

    def penalty() -> Tensor:
        x = video.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
        return gradient.square().sum()

    penalty().backward()
    step = 1e-6
    for name in ("conv_in.weight", "blocks.0.conv2.weight", "blocks.1.shortcut.weight", "hidden.weight"):
        parameter = discriminator.get_parameter(name)
        assert parameter.grad is not None
        index = int(parameter.grad.abs().argmax())  # a weight that matters
        values = []
        for sign in (1, -1):
            parameter.data.view(-1)[index] += sign * step
            values.append(penalty().item())
            parameter.data.view(-1)[index] -= sign * step
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(parameter.grad.view(-1)[index].item(), rel=1e-4)


# LeCam


def test_lecam_starts_at_the_first_means_and_then_follows_slowly() -> None:
    lecam = LeCam(decay=0.9)
    lecam.update(torch.tensor(2.0), torch.tensor(-1.0))
    assert (lecam.real_average.item(), lecam.fake_average.item()) == (2.0, -1.0)
    lecam.update(torch.tensor(0.0), torch.tensor(1.0))
    assert lecam.real_average.item() == pytest.approx(1.8)
    assert lecam.fake_average.item() == pytest.approx(-0.8)
    assert LeCam().decay == 0.999


def test_lecam_pays_for_logits_beyond_the_other_sides_average_only() -> None:
    lecam = LeCam()
    lecam.update(torch.tensor(1.0), torch.tensor(-0.5))
    real, fake = torch.tensor([1.5, -2.0]), torch.tensor([0.0, 3.0])
    # relu(1.5 + 0.5)^2 and relu(-2 + 0.5)^2; relu(1 - 0)^2 and relu(1 - 3)^2
    assert lecam(real, fake).item() == pytest.approx((4.0 + 0.0) / 2 + (1.0 + 0.0) / 2)
    assert lecam(torch.tensor([-0.5]), torch.tensor([1.0])).item() == 0.0


def test_lecams_averages_are_kept_in_the_state_and_carry_no_gradient() -> None:
    lecam = LeCam()
    real = torch.tensor([2.0], requires_grad=True)
    lecam.update(real.mean(), real.mean())
    assert not lecam.real_average.requires_grad
    other = LeCam()
    other.load_state_dict(lecam.state_dict())
    other.update(torch.tensor(1.0), torch.tensor(1.0))  # has started: moves by a thousandth
    assert other.real_average.item() == pytest.approx(1.999)
    assert not list(lecam.parameters())


# perceptual


def test_perceptual_loss_is_the_mean_squared_distance_of_logits() -> None:
    one, other = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert perceptual_loss(one, other).item() == pytest.approx(2.0)
