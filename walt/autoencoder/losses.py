"""Terms of the autoencoder's and of the discriminator's loss, each a scalar; their weights are settings.

The weights are in ``AutoencoderLossConfig``. Logits are what the discriminator gives: (B,), high for real videos.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def at_least_fp32(x: Tensor) -> Tensor:
    """Lower precisions in float32, others as they are: losses are sums of many values."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def sample_posterior(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """The reparameterised sample: mean + std x noise, all (B, c, t, h, w)."""
    return mean + torch.exp(0.5 * log_variance) * noise


def reconstruction_loss(reconstruction: Tensor, video: Tensor) -> Tensor:
    """Mean squared error over pixels in [-1, 1]."""
    return (at_least_fp32(reconstruction) - video).square().mean()


def kl_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence from the unit Gaussian, summed over a latent frame, averaged over frames."""
    mean, log_variance = at_least_fp32(mean), at_least_fp32(log_variance)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)  # (B, c, t, h, w)
    return divergence.sum(dim=(1, 3, 4)).mean()


def perceptual_loss(reconstructed: Tensor, original: Tensor) -> Tensor:
    """Mean squared distance between a classification network's logits per frame, both (B T, classes)."""
    return (at_least_fp32(reconstructed) - at_least_fp32(original)).square().mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating loss of the autoencoder: -log sigmoid of the reconstructions' logits (Goodfellow et al. 2014)."""
    return F.softplus(-at_least_fp32(fake)).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss of the discriminator: real videos should have high logits, reconstructions low ones."""
    return F.softplus(-at_least_fp32(real)).mean() + F.softplus(at_least_fp32(fake)).mean()


def r1_penalty(discriminator: nn.Module, video: Tensor) -> Tensor:
    """Half the squared gradient of the logit at real videos, summed over pixels, averaged over the batch.

    So the term's weight is gamma of Mescheder et al. (arXiv 1801.04406, equation 9). Always in fp32: squares of small
    gradients do not fit lower precisions.

    Args:
        video: (B, 3, T, H, W).
    """
    with torch.autocast(video.device.type, enabled=False):
        video = at_least_fp32(video.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(video).sum(), video, create_graph=True)
        return 0.5 * gradient.square().sum(dim=(1, 2, 3, 4)).mean()


class LeCam(nn.Module):
    """LeCam regulariser: keeps logits near the moving average of the other side's (Tseng et al., arXiv 2104.03310).

    It is the rectified form, which penalises only logits that are farther apart than the averages. The averages are
    buffers, hence part of checkpoints; they start at the first batch's means.

    Args:
        decay: of the moving averages; the paper's is 0.999.
    """

    started: Tensor
    real_average: Tensor
    fake_average: Tensor

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("started", torch.tensor(False))
        self.register_buffer("real_average", torch.tensor(0.0))
        self.register_buffer("fake_average", torch.tensor(0.0))

    @torch.no_grad()
    def update(self, real_mean: Tensor, fake_mean: Tensor) -> None:
        """Take in a step's mean logits, two scalars."""
        for average, mean in ((self.real_average, real_mean), (self.fake_average, fake_mean)):
            moved = self.decay * average + (1.0 - self.decay) * at_least_fp32(mean)
            average.copy_(torch.where(self.started, moved, at_least_fp32(mean)))
        self.started.fill_(True)

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """The penalty of logits (B,) with the present averages."""
        too_high = F.relu(at_least_fp32(real) - self.fake_average).square().mean()
        return too_high + F.relu(self.real_average - at_least_fp32(fake)).square().mean()
