"""The paper's sizes on a GPU: utilisation, the window ratios of Table 3b, and the time to sample 17x128x128.

    python -m benchmarks.transformer_gpu --help

bf16 under autocast, forward and backward, each block compiled; utilisation is the model's own FLOPs per second over
what a large matrix product reaches in the same rounds. The 3 B model has fewer layers than the paper's, else it is the
same. With ``--device cpu`` and small numbers it runs anywhere, which shows only that it runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure import Work, machine, markdown_table, matmul, take_turns, training_dtype
from benchmarks.transformer import CHANNELS, GRID, WINDOWS, compile_blocks, size, step, walt_config
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.samplers import ddim, trailing_timesteps
from walt.diffusion.schedule import Schedule
from walt.nn.accounting import forward_flops
from walt.nn.device import arithmetic
from walt.transformer.model import WaltTransformer

SIZES = {"L": (24, 1024, 16, 4096), "XL": (28, 1152, 16, 4608), "3B": (52, 1792, 16, 9216), "tiny": (2, 48, 2, 96)}
"""Layers, width, heads and width of the MLP (paper, Tables 6 and 8; the last is for dry runs)."""
SCHEDULE = DiffusionConfig(num_steps=1000, beta_start=1e-4, beta_end=0.02, zero_terminal_snr=True, prediction="v")


def main() -> None:
    """Measure and print the three tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transformer_gpu", description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["L", "XL", "3B"])
    parser.add_argument("--layers-of-3b", type=int, default=8)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--sampling-steps", type=int, default=50)
    parser.add_argument("--sampling-batch", type=int, default=8)
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    arguments = parser.parse_args()
    dtype = str(training_dtype(arguments.device)).removeprefix("torch.")
    how = "eager" if arguments.eager else "compiled"
    text = "\n\n".join(
        [
            f"{dtype}, {how}; median (fastest to slowest) of {arguments.rounds} rounds. {machine(arguments.device)}.",
            utilisation(arguments),
            windows(arguments),
            sampling(arguments),
        ]
    )
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")


def build(name: str, window: str, bias: bool, arguments: argparse.Namespace) -> WaltTransformer:
    """A model of a paper's size, unconditional."""
    layers, width, heads, mlp_width = SIZES[name]
    shape = argparse.Namespace(layers=arguments.layers_of_3b if name == "3B" else layers, width=width, heads=heads)
    torch.manual_seed(0)
    return WaltTransformer(walt_config(shape, window, bias, mlp_width)).to(arguments.device)


def training_step(model: WaltTransformer, batch: int, arguments: argparse.Namespace) -> tuple[Work, int]:
    """A step, compiled unless eager is asked for, and its FLOPs."""
    latents = torch.randn(batch, CHANNELS, *GRID, device=arguments.device)
    timesteps = torch.full((batch,), 500, device=arguments.device)
    work = step(model, lambda run: run(latents, timesteps), training_dtype(arguments.device), arguments.device)
    with torch.no_grad():  # three times forward: kernels that compute scores again get no credit for it
        flops = 3 * forward_flops(lambda: model(latents, timesteps))
    if not arguments.eager:
        compile_blocks(model)
    return work, flops


def utilisation(arguments: argparse.Namespace) -> str:
    """Each size with its bias, at several batch sizes."""
    product, product_flops = matmul(training_dtype(arguments.device), arguments.device)
    rows = []
    for name in arguments.sizes:
        for batch in arguments.batches:
            model = build(name, "5x8x8", True, arguments)
            work, flops = training_step(model, batch, arguments)
            timings = take_turns({"matmul": product, "model": work}, arguments.rounds)
            seconds = timings["model"].median
            share = flops / seconds / (product_flops / timings["matmul"].median)
            rows.append(
                [name, f"{size(model) / 1e6:.0f} M", str(len(model.blocks)), str(batch),
                 f"{seconds:.3g} ({timings['model'].spread})", f"{batch / seconds:.1f}",
                 f"{flops / seconds / 1e12:.1f}", f"{share:.0%}"]
            )  # fmt: skip
    header = ["size", "parameters", "layers", "batch", "seconds per step", "samples/s", "TFLOP/s", "of matmul"]
    return markdown_table(header, rows)


def windows(arguments: argparse.Namespace) -> str:
    """L at the windows of Table 3b, with and without the bias, as steps per second over full attention's."""
    batch, work = arguments.batches[0], {}
    for bias in (True, False):
        for window in WINDOWS:
            work[window, bias] = training_step(build("L", window, bias, arguments), batch, arguments)[0]
    timings = take_turns({f"{key}": one for key, one in work.items()}, arguments.rounds)
    rows = []
    for window, bias in work:
        timing, full = timings[f"{(window, bias)}"], timings[f"{('full', bias)}"]
        rows.append(
            [window, "yes" if bias else "no", f"{timing.median:.3g} ({timing.spread})",
             f"{full.median / timing.median:.2f}"]
        )  # fmt: skip
    paper = "The paper's, at its batch: 1.87, 1.67, 1.46 and 1 times full attention's steps per second."
    return markdown_table(["window", "bias", "seconds per step", "x full, same bias"], rows) + f"\n\n{paper}"


def sampling(arguments: argparse.Namespace) -> str:
    """DDIM with a model of each size: latents of 17x128x128."""
    schedule, batch, rows = Schedule.from_config(SCHEDULE), arguments.sampling_batch, []
    for name in arguments.sizes:
        model = build(name, "5x8x8", True, arguments).eval()
        if not arguments.eager:
            compile_blocks(model)
        noise = torch.randn(batch, CHANNELS, *GRID, device=arguments.device)

        def predict(x: Tensor, timestep: int, model: WaltTransformer) -> Tensor:
            with arithmetic(arguments.device, "bf16"):
                made: Tensor = model(x, torch.full((len(x),), timestep, device=x.device)).float()
            return made

        asked: Callable[[Tensor, int], Tensor] = partial(predict, model=model)
        work = partial(ddim, asked, noise, schedule, trailing_timesteps(schedule.num_steps, arguments.sampling_steps))
        timing = take_turns({"sampling": work}, arguments.rounds)["sampling"]
        rows.append([name, str(len(model.blocks)), str(batch), f"{timing.median:.3g} ({timing.spread})"])
    header = ["size", "layers", "videos", f"seconds for {arguments.sampling_steps} steps"]
    return markdown_table(header, rows)


if __name__ == "__main__":
    main()
