"""The models of ``benchmarks.busy``, in a process of their own: reads seconds, a line each, and prints steps made."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch reads the environment when it is imported
    from contextlib import AbstractContextManager

    from torch import Tensor

    from walt.project.params import Params

KINDS = ("base", "autoencoder", "encoding", "sampling")
"""What is measured, of the demo: training steps of base model and autoencoder, encoding clips, steps of sampling."""

Step = Callable[[], object]


def main() -> None:
    """Make steps as long as each line says."""
    step = make_step(sys.argv[1])
    for line in sys.stdin:
        start, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - start < float(line):
            step()
            steps += 1
        print(steps, flush=True)


def make_step(kind: str) -> Step:
    """One step of this kind of work, with the demo's models and batch sizes."""
    from walt.nn.device import keep_freed_memory  # torch, which reads the environment when it is imported

    keep_freed_memory("cpu")
    makers = {"base": _train_base, "autoencoder": _train_autoencoder, "encoding": _encode, "sampling": _sample}
    return makers[kind]()


def _as_trained() -> AbstractContextManager[object]:
    """The precision of trainings, without the line that they say about it: what this process prints is read."""
    import torch

    from walt.nn.device import computes_bf16

    return torch.autocast("cpu", torch.bfloat16, enabled=computes_bf16("cpu"))


def _train_base() -> Step:

    from walt.project.recipes import load_recipe
    from walt.training.optimizers import make_optimizer
    from walt.transformer.model import WaltTransformer

    params = load_recipe("demo")
    model = WaltTransformer(params.base)
    optimizer = make_optimizer(model, params.train_base.optimizer)
    inputs, timesteps, words, mask = _inputs(params, params.train_base.batch_size)

    def step() -> None:
        with _as_trained():
            output = model(inputs, timesteps, text=words, text_mask=mask)
        optimizer.zero_grad(set_to_none=True)
        output.float().square().mean().backward()
        optimizer.step()

    return step


def _train_autoencoder() -> Step:
    import torch

    from walt.autoencoder.model import CausalAutoencoder
    from walt.nn.causal import use_channels_last
    from walt.project.recipes import load_recipe
    from walt.training.optimizers import make_optimizer

    params = load_recipe("demo")
    model, form = CausalAutoencoder(params.autoencoder), params.train_autoencoder.forms[0]
    use_channels_last(model)
    optimizer = make_optimizer(model, params.train_autoencoder.optimizer)
    video = torch.randn(form.batch_size, 3, form.num_frames, *form.resolution)

    def step() -> None:
        with _as_trained():
            output = model.decode(model.encode(video)[0])
        optimizer.zero_grad(set_to_none=True)
        (output.float() - video).square().mean().backward()
        optimizer.step()

    return step


def _encode() -> Step:
    import torch

    from walt.autoencoder.model import CausalAutoencoder
    from walt.nn.causal import use_channels_last
    from walt.project.recipes import load_recipe

    params = load_recipe("demo")
    model = CausalAutoencoder(params.autoencoder).eval()
    use_channels_last(model)
    video = torch.randn(8, 3, 17, 32, 32).contiguous(memory_format=torch.channels_last_3d)

    @torch.inference_mode()
    def step() -> None:
        with _as_trained():
            model.encode(video)

    return step


def _sample() -> Step:
    import torch

    from walt.project.recipes import load_recipe
    from walt.transformer.model import WaltTransformer

    params = load_recipe("demo")
    model = WaltTransformer(params.base).eval()
    inputs, timesteps, words, mask = _inputs(params, params.sample.batch_size)

    @torch.inference_mode()
    def step() -> None:
        model(inputs, timesteps, text=words, text_mask=mask)

    return step


def _inputs(params: Params, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noise, timesteps, words and their mask for the base model, ``count`` of each."""
    import torch

    config = params.base
    assert params.text is not None
    assert config.text_width is not None
    inputs, timesteps = torch.randn(count, config.latent_channels, *config.latent_grid), torch.full((count,), 500)
    words = torch.randn(count, params.text.max_tokens, config.text_width)
    return inputs, timesteps, words, torch.ones(words.shape[:2], dtype=torch.bool)


if __name__ == "__main__":
    main()
