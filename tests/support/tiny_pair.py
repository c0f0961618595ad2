"""A network and a critic, trained against each other like the autoencoder and its discriminator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.tiny_loop import loop_config, make_batch, make_model
from walt.training.config import LoopConfig
from walt.training.loop import TrainingResult, train
from walt.training.trained_model import SecondModel


class Critic(nn.Module):
    """(B, 2, 3, 4, 4) -> (B,), and a buffer that moves in each step."""

    moved: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 3, 3, padding=1)
        self.logit = nn.Linear(3, 1)
        self.register_buffer("moved", torch.tensor(0.0))

    def forward(self, video: Tensor) -> Tensor:
        return self.logit(F.leaky_relu(self.conv(video), 0.2).mean(dim=(2, 3, 4)))[:, 0]


class ModelAndCritic:
    """A generator and a critic, trained against each other like the autoencoder and its discriminator."""

    def __init__(self, before: Callable[[int], None] = lambda step: None, critic_scale: float = 1.0) -> None:
        self.before, self.critic_scale = before, critic_scale
        self.model = make_model()
        self.critic = Critic()
        self.calls: list[tuple[str, int]] = []
        self.real = self.fake = torch.empty(0)

    def losses(self, step: int) -> dict[str, Tensor]:
        self.before(step)
        self.calls.append(("model", step))
        self.real = make_batch(step)
        fake = self.model(self.real)
        self.fake = fake.detach().float()
        return {"loss": (fake - self.real).square().mean() + F.softplus(-self.critic(fake)).mean()}

    def critic_losses(self, step: int) -> dict[str, Tensor]:
        self.calls.append(("critic", step))
        real, fake = self.critic(self.real), self.critic(self.fake)
        with torch.no_grad():
            self.critic.moved.lerp_(real.float().mean(), 0.1)
        loss = F.softplus(-real).mean() + F.softplus(fake).mean() + (real - self.critic.moved).square().mean()
        return {"loss": loss * (self.critic_scale if step == 5 else 1.0), "real": real.mean()}

    def run(self, work: Path, config: LoopConfig | None = None) -> TrainingResult:
        return train(
            name="tiny",
            model=self.model,
            losses=self.losses,
            config=config or loop_config(),
            identity={"seed": 0},
            work=work,
            on_log=lambda step, metrics: None,
            second_model=SecondModel("critic", self.critic, self.critic_losses),
        )
