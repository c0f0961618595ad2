"""The checks of ``benchmarks.gpu_check``: each runs something that no processor runs, and says what it found."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import HashStore  # type: ignore[attr-defined]
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_models import (
    SCHEDULE,
    Measured,
    Setup,
    backward,
    batches,
    check_gradients,
    demand,
    measured,
    transformer,
    transformers,
)
from benchmarks.measure import synchronize
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.losses import discriminator_loss, generator_loss, r1_penalty, reconstruction_loss
from walt.autoencoder.model import CausalAutoencoder
from walt.diffusion.samplers import ddim, trailing_timesteps
from walt.nn.attention import WindowSelfAttention, torchs_attention
from walt.nn.causal import FrameGroupNorm, use_channels_last
from walt.nn.positions import RelativePositionBias
from walt.project.recipes import load_recipe
from walt.training.diffusion_objective import prediction_loss
from walt.training.loop import train
from walt.training.optimizers import make_optimizer
from walt.transformer.model import WaltTransformer

BACKENDS = (
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.MATH,
)
Found = Iterator[tuple[str, str]]
"""What was run, and what was found."""


def _step(model: WaltTransformer, optimizer: Optimizer, count: int, setup: Setup) -> None:
    optimizer.zero_grad(set_to_none=True)
    backward(model, setup, count)
    optimizer.step()


def training_steps(setup: Setup) -> Found:
    """Each model's step in bf16, with its recipe's optimizer: as it is, and compiled."""
    for name, config, optimizer_config, count in transformers(setup):
        model = transformer(config, setup)
        optimizer = make_optimizer(model, optimizer_config)
        start = {key: value.clone() for key, value in model.state_dict().items()}

        step = partial(_step, model, optimizer, count, setup)
        eager_loss = float(backward(model, setup, count))
        check_gradients(model)
        eager = measured(step, setup)
        model.load_state_dict(start)
        began = time.perf_counter()
        setup.compile(model)
        compiled_loss = float(backward(model, setup, count))
        synchronize()
        compiling = time.perf_counter() - began
        differs = abs(compiled_loss / eager_loss - 1)
        demand(differs < 0.02, f"{name}: the compiled loss is {compiled_loss:.5g}, the eager one {eager_loss:.5g}")
        compiled = measured(step, setup)
        yield (
            f"{name}, batch {count}, {optimizer_config.name}",
            f"eager {eager}; compiled {compiled}, after {compiling:.0f} s; losses differ by {differs:.2%}",
        )


def activation_checkpointing(setup: Setup) -> Found:
    """The same gradient with less memory."""
    _, config, _, count = next(iter(transformers(setup)))
    model = transformer(config, setup)
    found: dict[bool, tuple[Measured, Tensor]] = {}
    for kept in (True, False):
        model.activation_checkpointing = not kept

        def step() -> None:
            model.zero_grad(set_to_none=True)
            backward(model, setup, count)

        cost = measured(step, setup, repeat=1)
        found[kept] = cost, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    difference = float((found[True][1] - found[False][1]).norm() / found[True][1].norm())
    demand(difference < 0.02, f"gradients differ by {difference:.2%}")
    if setup.on_gpu:
        demand(found[False][0].gibibytes < found[True][0].gibibytes, "checkpointing saves no memory")
    yield "L", f"kept {found[True][0]}; computed again {found[False][0]}; gradients differ by {difference:.2%}"


def fused_attention(setup: Setup) -> Found:
    """Which kernel attends with a bias that needs a gradient, and what each that torch has would cost."""
    _, config, _, count = next(iter(transformers(setup)))
    window, heads = config.spatiotemporal_window, config.heads
    bias = RelativePositionBias(window, heads).to(setup.device)
    nn.init.normal_(bias.table)
    tokens, width = window[0] * window[1] * window[2], config.width // heads
    shape = (heads, 4 * count, tokens, width)
    dtype = torch.bfloat16 if setup.on_gpu else torch.float32
    query, key, value = [torch.randn(shape, device=setup.device, dtype=dtype, requires_grad=True) for _ in range(3)]

    def attend() -> None:
        bias.zero_grad(set_to_none=True)
        torchs_attention(query, key, value, bias, None).float().square().sum().backward()

    with sdpa_kernel(SDPBackend.MATH):
        attend()
    assert bias.table.grad is not None
    expected = bias.table.grad.clone()
    attend()
    off = float((bias.table.grad - expected).norm() / expected.norm())
    demand(off < 0.05, f"the bias's gradient differs from the plain formula's by {off:.1%}")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setup.on_gpu else [])]
    with profile(activities=activities) as profiler:
        attend()
    words = ("flash", "fmha", "attention", "cudnn", "softmax")
    kernels = sorted({e.key for e in profiler.key_averages() if any(word in e.key.lower() for word in words)})
    name = f"windows {'x'.join(map(str, window))}, {heads} heads of {width}"
    yield name, f"torch's choice {measured(attend, setup)}; gradient off by {off:.2%}; {', '.join(kernels)}"
    for backend in BACKENDS:
        try:
            with sdpa_kernel(backend):
                cost = str(measured(attend, setup))
        except RuntimeError as error:
            cost = f"refused: {str(error).splitlines()[0]}"
        yield f"{name}, {backend.name.lower()}", cost
    attention = WindowSelfAttention(config.width, heads, window, True, True).to(setup.device)
    grid = torch.randn(count, *config.latent_grid[:1], *window[1:], config.width, device=setup.device)
    with torch.autocast(setup.device, torch.bfloat16):
        attention(grid).float().square().mean().backward()
    check_gradients(attention)
    yield "the layer as training calls it, bf16", "every parameter has a gradient"


def channels_last(setup: Setup) -> Found:
    """Group norm of channels-last frames: layout kept, the same numbers as in row-major order, nothing copied."""
    channels, side = (16, 16) if setup.tiny else (128, 128)
    norm = FrameGroupNorm(8, channels).to(setup.device)
    x = torch.randn(2, channels, 5, side, side, device=setup.device).contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast(setup.device, torch.bfloat16):
        found, plain = norm(x), norm.norm(x.transpose(1, 2).flatten(0, 1).contiguous())
    frames = found.transpose(1, 2).flatten(0, 1)
    demand(torch.allclose(frames.float(), plain.float(), atol=0.05), "the two layouts give other numbers")
    kept = found.is_contiguous(memory_format=torch.channels_last_3d)
    demand(kept, "group norm leaves another layout, and each convolution after it copies")
    cost = measured(lambda: norm(x), setup)
    model = CausalAutoencoder(setup.autoencoder).to(setup.device)
    use_channels_last(model)
    lost: list[str] = []

    def look(module_name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def hook(module: nn.Module, given: tuple[object, ...], made: object) -> None:
            if not isinstance(made, Tensor) or made.ndim != 5 or min(made.shape[1:]) == 1:
                return
            if not made.is_contiguous(memory_format=torch.channels_last_3d):
                lost.append(module_name)

        return hook

    for module_name, module in model.named_modules():
        module.register_forward_hook(look(module_name))
    with torch.no_grad(), torch.autocast(setup.device, torch.bfloat16):
        model.encode(setup.video())
    yield f"group norm, {channels} channels", f"{cost}; layout kept"
    yield "encoder", f"{len(lost)} layers leave another layout{': ' + ', '.join(lost[:5]) if lost else ''}"


def autoencoder(setup: Setup) -> Found:
    """A step of the autoencoder and of its discriminator with R1, which differentiates twice, in bf16."""
    model = CausalAutoencoder(setup.autoencoder).to(setup.device)
    discriminator = Discriminator(setup.discriminator).to(setup.device)
    model.activation_checkpointing = True
    for network in (model, discriminator):
        use_channels_last(network)
    video = setup.video()
    optimizers = [make_optimizer(one, setup.autoencoder_optimizer) for one in (model, discriminator)]

    def step() -> None:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast(setup.device, torch.bfloat16):
            made = model.decode(model.encode(video)[0])
            loss = 5.0 * reconstruction_loss(made, video) + 0.1 * generator_loss(discriminator(made))
        loss.backward(inputs=list(model.parameters()))
        with torch.autocast(setup.device, torch.bfloat16):
            real, fake = discriminator(torch.cat([video, made.detach().float()])).chunk(2)
            loss = discriminator_loss(real, fake) + 10.0 * r1_penalty(discriminator, video)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    cost = measured(step, setup, repeat=1)
    for network in (model, discriminator):
        finite = all(bool(p.isfinite().all()) for p in network.parameters())
        demand(finite, f"{type(network).__name__}: weights that are not finite")
    yield f"{'x'.join(map(str, video.shape))}", f"with its discriminator and R1 {cost}"


def sampling(setup: Setup) -> Found:
    """Latents of a batch by DDIM, in bf16."""
    _, config, _, count = next(iter(transformers(setup)))
    model = transformer(config, setup).eval()
    given = batches(config, count, setup.device)[0]

    def predict(x: Tensor, timestep: int) -> Tensor:
        with torch.autocast(setup.device, torch.bfloat16):
            return model(x, torch.full((len(x),), timestep, device=x.device), labels=given.labels).float()

    steps = 10
    cost = []
    with torch.no_grad():
        made = ddim(predict, given.noise, SCHEDULE, trailing_timesteps(SCHEDULE.num_steps, steps))
        demand(bool(made.isfinite().all()), "samples that are not finite")
        cost.append(measured(lambda: predict(given.noise, 500), setup))
    yield f"L, {count} videos, {steps} steps", f"finite; a step {cost[0]}"


@contextmanager
def one_rank(setup: Setup) -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("nccl" if setup.on_gpu else "gloo", store=HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


def distributed(setup: Setup) -> Found:
    """One rank: the backend starts, and a sharded step is the step of one device."""
    _, config, _, count = next(iter(transformers(setup)))
    config = config.model_copy(update={"layers": 2})
    for name in ("adamw", "adafactor"):
        optimizer_config = load_recipe("t2v").train_base.optimizer.model_copy(update={"name": name})
        results = []
        with one_rank(setup):
            mesh = init_device_mesh(setup.device, (1,))
            for sharded in (False, True):
                model = transformer(config, setup)
                if sharded:
                    for block in model.blocks:
                        fully_shard(block, mesh=mesh)
                    fully_shard(model, mesh=mesh)
                optimizer = make_optimizer(model, optimizer_config)
                loss = float(backward(model, setup, count, images=False, sharded=sharded))
                absent = [key for key, p in model.named_parameters() if p.grad is None]
                demand(not absent, f"no gradient: {', '.join(absent[:5])}")
                optimizer.step()
                weights = [p.full_tensor() if sharded else p for p in model.parameters()]  # type: ignore[attr-defined]
                results.append((loss, torch.cat([w.detach().flatten() for w in weights])))
        (alone, expected), (loss, found) = results
        off = float((found - expected).norm() / expected.norm())
        same = abs(loss / alone - 1) < 0.01 and off < 1e-3
        demand(same, f"loss {loss:.5g} for {alone:.5g}, weights off by {off:.2g}")
        yield f"{'nccl' if setup.on_gpu else 'gloo'}, FSDP2, {name}", f"loss {loss:.5g}, weights off by {off:.1g}"


def resumption(setup: Setup) -> Found:
    """A run that was cut off and goes on ends as one in one go does."""
    _, config, optimizer_config, count = next(iter(transformers(setup)))
    config = config.model_copy(update={"layers": 2})
    training = setup.loop.model_copy(update={"optimizer": optimizer_config, "steps": 4, "checkpoint_every": 2})

    def run(work: Path, stop: int | None) -> dict[str, Tensor]:
        model = transformer(config, setup)

        def losses(step: int) -> dict[str, Tensor]:
            if step == stop:
                raise KeyboardInterrupt
            batch = batches(config, count, setup.device, seed=step)[0]
            return {"loss": prediction_loss(model, SCHEDULE, batch, self_conditioning=True).mean()}

        identity = {"check": "resumption"}
        return train(
            name="gpu-check", model=model, losses=losses, config=training, identity=identity, work=work,
            on_log=lambda *_: None,
        ).state_dict  # fmt: skip

    whole = run(setup.work / "whole", None)
    with suppress(KeyboardInterrupt):
        run(setup.work / "cut", 3)
    resumed = run(setup.work / "cut", None)
    same = all(torch.equal(value, resumed[name]) for name, value in whole.items())
    worst = max(float((value - resumed[name]).abs().max()) for name, value in whole.items())
    demand(worst < 1e-3, f"weights differ by up to {worst:.2g}")
    yield "4 steps, cut off in the fourth", "the same bits" if same else f"weights differ by at most {worst:.2g}"


CHECKS: dict[str, Callable[[Setup], Found]] = {
    "attention": fused_attention,
    "channels-last": channels_last,
    "checkpointing": activation_checkpointing,
    "distributed": distributed,
    "resume": resumption,
    "sampling": sampling,
    "autoencoder": autoencoder,
    "training step": training_steps,
}


def free_memory() -> None:
    """Forget what the last check left: tensors, compiled code."""
    torch._dynamo.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
