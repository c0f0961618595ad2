"""What ``benchmarks.gpu_check`` runs: the recipes' models, some with fewer layers, or all in small; how it measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch._dynamo.config
from torch import Tensor, nn

from benchmarks.measure import synchronize
from walt.autoencoder.config import AutoencoderConfig, DiscriminatorConfig
from walt.diffusion.schedule import Schedule
from walt.project.recipes import load_recipe
from walt.training.compilation import compile_blocks
from walt.training.config import LoopConfig, OptimizerConfig
from walt.training.diffusion_objective import DiffusionBatch, prediction_loss
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

LAYERS = 4
"""Of the large models: a block is like the others."""
TEXT_TOKENS = 64
SCHEDULE = Schedule.from_config(load_recipe("t2v").diffusion)


@dataclass(frozen=True)
class Setup:
    """Where the checks run, and whether in small."""

    device: str
    tiny: bool
    work: Path
    """An empty folder."""

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"

    @property
    def autoencoder(self) -> AutoencoderConfig:
        """The paper's; in small, with its levels."""
        config = load_recipe("ucf101").autoencoder
        sizes = {"base_channels": 4, "blocks_per_level": 1, "groups": 2}
        return config.model_copy(update=sizes) if self.tiny else config

    @property
    def discriminator(self) -> DiscriminatorConfig:
        config = load_recipe("ucf101").train_autoencoder.discriminator
        assert config is not None
        return config.model_copy(update={"base_channels": 4, "channel_multipliers": (2, 4)}) if self.tiny else config

    @property
    def autoencoder_optimizer(self) -> OptimizerConfig:
        return load_recipe("ucf101").train_autoencoder.optimizer

    @property
    def loop(self) -> LoopConfig:
        """What every training has."""
        training = load_recipe("ucf101").train_base
        return LoopConfig(**{name: getattr(training, name) for name in LoopConfig.model_fields})

    def video(self) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1], channels-last."""
        shape = (1, 3, 5, 16, 16) if self.tiny else (2, 3, 17, 128, 128)
        video = torch.rand(shape, generator=torch.Generator().manual_seed(0)).mul(2).sub(1)
        return video.to(self.device).contiguous(memory_format=torch.channels_last_3d)

    def compile(self, model: WaltTransformer) -> None:
        """Compile the blocks as training does; in small by a backend that needs no compiler."""
        if not self.tiny:
            compile_blocks(model.blocks, self.device, "gpu-check")
            return
        torch._dynamo.config.recompile_limit = 64
        for block in model.blocks:
            block.compile(fullgraph=True, dynamic=False, backend="eager")


def transformers(setup: Setup) -> Iterator[tuple[str, TransformerConfig, OptimizerConfig, int]]:
    """Name, configuration, the recipe's optimizer, and a batch that a card of 80 GB holds; W.A.L.T-L first."""
    ucf, t2v = load_recipe("ucf101"), load_recipe("t2v")
    xl = ucf.base.model_copy(update={"layers": 28, "width": 1152, "mlp_width": 4608})
    found = [("L", ucf.base, ucf.train_base.optimizer, 16), ("XL", xl, ucf.train_base.optimizer, 16)]
    for name, (config, training) in t2v.transformers().items():
        count = {"base": 8, "aspect": 4, "sr_2x": 2, "sr_4x": 2}[name]
        short = config.model_copy(update={"layers": LAYERS})
        found.append((f"{name} of t2v, {LAYERS} of {config.layers} layers", short, training.optimizer, count))
    for name, config, optimizer, count in found:
        yield name, small(config) if setup.tiny else config, optimizer, 2 if setup.tiny else count


def small(config: TransformerConfig) -> TransformerConfig:
    """The same with two layers and a narrow width, on a grid of few tokens."""
    patch = config.patch_size
    sizes = {
        "layers": 2, "width": 32, "heads": 2, "mlp_width": 48, "latent_grid": (3, 4 * patch, 4 * patch),
        "spatial_window": (1, 4, 4), "spatiotemporal_window": (3, 2, 2),
        "text_width": None if config.text_width is None else 16,
    }  # fmt: skip
    return TransformerConfig.model_validate({**config.model_dump(), **sizes})


def transformer(config: TransformerConfig, setup: Setup) -> WaltTransformer:
    """With weights of which none is zero, so that every parameter gets a gradient; always the same."""
    torch.manual_seed(0)
    model = WaltTransformer(config).to(setup.device)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape).to(setup.device))
    return model


def batches(config: TransformerConfig, count: int, device: str, seed: int = 0) -> list[DiffusionBatch]:
    """Random videos and as many stacks of images, with all that the model is given."""
    generator = torch.Generator().manual_seed(seed)
    frames, height, width = config.latent_grid

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    def batch(images: bool) -> DiffusionBatch:
        each: tuple[int, ...] = (count, frames) if images else (count,)
        text = mask = labels = low = level = known = None
        if config.text_width is not None:
            text, mask = drawn(*each, TEXT_TOKENS, config.text_width), torch.ones(*each, TEXT_TOKENS, dtype=torch.bool)
        if config.num_classes is not None:
            labels = torch.randint(config.num_classes, each, generator=generator)
        if config.super_resolution is not None:
            factor = config.super_resolution.factor
            low = drawn(count, config.latent_channels, frames, height // factor, width // factor)
            level = torch.full((count,), config.super_resolution.sampling_noise_level)
        if config.frame_prediction and not images:
            known = torch.arange(count) % 3
        latents = drawn(count, config.latent_channels, *config.latent_grid)
        timesteps = torch.randint(1000, (count,), generator=generator)
        noise = drawn(*latents.shape)
        return DiffusionBatch(latents, noise, timesteps, text, mask, images, low, level, labels, known).to(device)

    return [batch(images=False), batch(images=True)]


class CheckError(Exception):
    """What was found is wrong."""


@dataclass(frozen=True)
class Measured:
    """Seconds and peak memory of a piece of work."""

    seconds: float
    gibibytes: float

    def __str__(self) -> str:
        memory = f", {self.gibibytes:.2f} GiB at most" if self.gibibytes else ""
        return f"{self.seconds:.3g} s{memory}"


def measured(work: Callable[[], object], setup: Setup, repeat: int = 3) -> Measured:
    """The shortest of some runs after one without a clock, and the most memory they took (on GPUs).

    In small there is one: its seconds say nothing.
    """
    work()
    if setup.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(1 if setup.tiny else repeat):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        seconds.append(time.perf_counter() - start)
    return Measured(min(seconds), torch.cuda.max_memory_allocated() / 2**30 if setup.on_gpu else 0.0)


def demand(right: bool, said: str) -> None:
    """Raises CheckError unless it is right."""
    if not right:
        raise CheckError(said)


def backward(model: WaltTransformer, setup: Setup, count: int, images: bool = True, sharded: bool = False) -> Tensor:
    """The loss of a training step, as training has it, with its gradient.

    Of sharded models autocast must not keep copies of the weights: those that the first pass of self-conditioning
    makes, which is without gradient, are used again in the second, and the weights then get none (torch 2.13).
    """
    total = torch.zeros((), device=setup.device)
    for batch in batches(model.config, count, setup.device)[: 2 if images else 1]:
        with torch.autocast(setup.device, torch.bfloat16, cache_enabled=not sharded):
            loss = prediction_loss(model, SCHEDULE, batch, self_conditioning=True).mean()
        loss.backward()
        total += loss.detach()
    return total


def check_gradients(model: nn.Module) -> None:
    """Every parameter has a gradient, finite and not all zeros."""
    for name, parameter in model.named_parameters():
        demand(parameter.grad is not None, f"{name} has no gradient")
        assert parameter.grad is not None
        demand(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")
        demand(bool(parameter.grad.any()), f"the gradient of {name} is zero")
