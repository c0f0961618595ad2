"""Terms of the autoencoder's loss, each a scalar; their weights are settings (``AutoencoderLossConfig``)."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_latents(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """The reparameterised draw: mean + std x noise, all (B, c, t, h, w)."""
    return mean + torch.exp(0.5 * log_variance) * noise


def reconstruction_loss(reconstruction: Tensor, video: Tensor) -> Tensor:
    """Mean squared error over pixels in [-1, 1]."""
    return (reconstruction.float() - video).square().mean()


def kl_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence from the unit Gaussian, summed over a latent frame, averaged over frames."""
    mean, log_variance = mean.float(), log_variance.float()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)  # (B, c, t, h, w)
    return divergence.sum(dim=(1, 3, 4)).mean()
