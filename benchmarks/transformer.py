"""W.A.L.T's windows against full attention, and against diffusers' Latte and Wan transformers, forward and backward.

    python -m benchmarks.transformer --help

All have the same depth, width, heads and tokens, random weights, and take turns in the same run. Ours runs with the
relative position bias and without; both sides of every ratio are named, since a saving in FLOPs is not one in time.
"Latte's size" is ours with an MLP so much wider that it has as many parameters as Latte. Compiled means each block, as
in training, of the peers too. On processors freed memory is kept for all of them (``keep_freed_memory``), likewise.
GPUs at the paper's sizes: ``benchmarks.transformer_gpu``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch._dynamo.config
from torch import Tensor, nn

from benchmarks.measure import Work, machine, markdown_table, matmul, take_turns
from walt.nn.accounting import forward_flops
from walt.nn.device import keep_freed_memory
from walt.project.recipes import load_recipe
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
GRID = (5, 16, 16)
CHANNELS = 8
TEXT_TOKENS = 16
WINDOWS = {"5x4x4": (5, 4, 4), "5x8x8": (5, 8, 8), "5x16x16": (5, 16, 16), "full": (5, 16, 16)}
"""Of the spatiotemporal blocks; the spatial blocks see 1x16x16, but in "full", where every block sees all."""
PAPERS_WINDOW = "5x8x8"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    precision: str
    mode: str
    model: str
    parameters: int
    seconds: float
    fastest: float
    spread: str
    gflop: float
    gflop_per_second: float
    share_of_matmul: float


def main() -> None:
    """Measure, print the tables, and write them where ``--out`` says."""
    arguments = parse()
    keep_freed_memory(arguments.device)
    rows: list[Row] = []
    for precision in arguments.precisions:
        for mode in arguments.modes:
            rows += measure(precision, mode, arguments)
            write(rows, arguments)  # each time: compiling takes minutes, and what is measured should not be lost
    print(render(rows, arguments))


def write(rows: list[Row], arguments: argparse.Namespace) -> None:
    """The tables, and the rows as JSON, where the command line says."""
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(render(rows, arguments) + "\n", encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transformer", description=__doc__)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precisions", nargs="+", choices=sorted(DTYPES), default=["bf16", "fp32"])
    parser.add_argument("--modes", nargs="+", choices=["eager", "compiled"], default=["eager"])
    parser.add_argument("--windows", nargs="+", choices=list(WINDOWS), default=list(WINDOWS))
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    parser.add_argument("--json", type=Path, help="write the rows here")
    return parser.parse_args()


def measure(precision: str, mode: str, arguments: argparse.Namespace) -> list[Row]:
    """All contestants in one precision, taking turns: a step is forward, backward and forgetting the gradients."""
    dtype, device = DTYPES[precision], arguments.device
    work: dict[str, Work] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for name, model, call in contestants(arguments):
        model.to(device)
        work[name] = step(model, call, dtype, device)
        sizes[name] = (size(model), forward_flops(work[name]))
        if mode == "compiled":
            compile_blocks(model)
    product, product_flops = matmul(dtype, device)
    timings = take_turns({"matmul": product, **work}, arguments.rounds)
    peak = product_flops / timings["matmul"].median
    rows = []
    for name in work:
        parameters, flops = sizes[name]
        rate = flops / timings[name].median
        rows.append(
            Row(precision, mode, name, parameters, timings[name].median, min(timings[name].seconds),
                timings[name].spread, flops / 1e9, rate / 1e9, rate / peak)
        )  # fmt: skip
    return rows


def compile_blocks(model: nn.Module) -> None:
    """Compile each block of a transformer, ours or a peer's."""
    torch._dynamo.config.recompile_limit = 64
    for name in ("blocks", "transformer_blocks", "temporal_transformer_blocks"):
        for block in getattr(model, name, ()):
            block.compile(dynamic=False)


def size(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def step(model: nn.Module, call: Any, dtype: torch.dtype, device: str) -> Work:
    """One training step without the optimizer, under autocast where the precision is bf16."""

    def work() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            output: Tensor = call(model)
        output.float().square().mean().backward()
        model.zero_grad(set_to_none=True)

    return work


def contestants(arguments: argparse.Namespace) -> Iterator[tuple[str, nn.Module, Any]]:
    """(name, model, call of the model with its inputs)."""
    generator = torch.Generator().manual_seed(0)
    shape = (arguments.batch, CHANNELS, *GRID)
    latents = torch.randn(shape, generator=generator).to(arguments.device)
    timesteps = torch.full((arguments.batch,), 500, device=arguments.device)
    text = torch.randn(arguments.batch, TEXT_TOKENS, 64, generator=generator).to(arguments.device)
    for window in arguments.windows:
        for bias in (True, False):
            torch.manual_seed(0)
            ours = WaltTransformer(walt_config(arguments, window, bias))
            kind = "bias" if bias else "no bias"
            yield f"W.A.L.T {window}, {kind}", ours, lambda run: run(latents, timesteps)
    if arguments.no_peers:
        return
    head_width = arguments.width // arguments.heads
    from diffusers import LatteTransformer3DModel, WanTransformer3DModel

    # Latte counts pairs of a spatial and a temporal block; its attention to text cannot be left out of the spatial ones
    latte: Any = LatteTransformer3DModel(
        num_attention_heads=arguments.heads, attention_head_dim=head_width, in_channels=CHANNELS, out_channels=CHANNELS,
        num_layers=arguments.layers // 2, cross_attention_dim=arguments.width, sample_size=GRID[1], patch_size=1,
        activation_fn="gelu-approximate", norm_type="ada_norm_single", norm_elementwise_affine=False,
        caption_channels=64, video_length=GRID[0], attention_bias=True,
    )  # fmt: skip
    missing = size(latte) - size(WaltTransformer(walt_config(arguments, PAPERS_WINDOW, True)))
    wider = 4 * arguments.width + max(0, -(-missing // (2 * arguments.layers * arguments.width)))
    same_size = WaltTransformer(walt_config(arguments, PAPERS_WINDOW, True, wider))
    yield f"W.A.L.T {PAPERS_WINDOW}, bias, Latte's size", same_size, lambda run: run(latents, timesteps)
    yield (
        "Latte", latte,
        lambda run: run(latents, timestep=timesteps, encoder_hidden_states=text, return_dict=False)[0],
    )  # fmt: skip
    wan: Any = WanTransformer3DModel(
        patch_size=(1, 1, 1), num_attention_heads=arguments.heads, attention_head_dim=head_width, in_channels=CHANNELS,
        out_channels=CHANNELS, text_dim=64, freq_dim=256, ffn_dim=4 * arguments.width, num_layers=arguments.layers,
        rope_max_seq_len=64,
    )  # fmt: skip
    yield (
        "Wan", wan,
        lambda run: run(latents, timestep=timesteps, encoder_hidden_states=text, return_dict=False)[0],
    )  # fmt: skip


def walt_config(
    arguments: argparse.Namespace, window: str, bias: bool, mlp_width: int | None = None
) -> TransformerConfig:
    """The recipe's base model in the size that the command line says. Unconditional, with the timestep as the only
    condition: what is measured is self-attention and MLP."""
    changes = {
        "resolution": (GRID[1] * 8, GRID[2] * 8), "latent_grid": GRID, "layers": arguments.layers,
        "width": arguments.width, "heads": arguments.heads, "mlp_width": mlp_width or 4 * arguments.width,
        "spatial_window": GRID if window == "full" else (1, *GRID[1:]), "spatiotemporal_window": WINDOWS[window],
        "relative_position_bias": bias, "self_conditioning": False, "conditioning": "none", "num_classes": None,
    }  # fmt: skip
    return TransformerConfig.model_validate(_of_recipe() | changes)


@cache
def _of_recipe() -> dict[str, Any]:
    base = load_recipe("ucf101").base.model_dump()
    assert base["latent_channels"] == CHANNELS
    return base


def render(rows: list[Row], arguments: argparse.Namespace) -> str:
    """The table, and under it the ratios."""
    header = ["precision", "mode", "model", "parameters", "seconds per step", "GFLOP", "GFLOP/s", "of matmul"]
    cells = [
        [row.precision, row.mode, row.model, f"{row.parameters / 1e6:.1f} M", f"{row.seconds:.3g} ({row.spread})",
         f"{row.gflop:.0f}", f"{row.gflop_per_second:.0f}", f"{row.share_of_matmul:.0%}"]
        for row in rows
    ]  # fmt: skip
    lines = [
        f"{arguments.layers} layers x {arguments.width}, {arguments.heads} heads, {'x'.join(map(str, GRID))} tokens, "
        f"batch {arguments.batch}, forward and backward; median (fastest to slowest) of {arguments.rounds} rounds. "
        f"{machine(arguments.device)}.",
        "",
        markdown_table(header, cells),
        "",
    ]
    return "\n".join([*lines, *ratios(rows)])


def ratios(rows: list[Row]) -> Iterator[str]:
    """What the bias costs at every window, what windows save, and how the paper's compares with the peers.

    Of medians, and in brackets of the fastest rounds: on a machine with other work they are more reliable.
    """
    for precision, mode in dict.fromkeys((row.precision, row.mode) for row in rows):
        found = {row.model: row for row in rows if (row.precision, row.mode) == (precision, mode)}
        where = f"{precision}, {mode}"
        for window in WINDOWS:
            with_bias, without = (found.get(f"W.A.L.T {window}, {kind}") for kind in ("bias", "no bias"))
            if with_bias and without:
                yield f"- {where}: the bias at {window} makes a step {_ratio(with_bias, without)} x as long"
        for kind in ("bias", "no bias", "bias, Latte's size"):
            ours = found.get(f"W.A.L.T {PAPERS_WINDOW}, {kind}")
            for other in (f"W.A.L.T full, {kind}", "Latte", "Wan"):
                if ours and other in found:
                    ratio = _ratio(found[other], ours)
                    yield f"- {where}: {PAPERS_WINDOW}, {kind}, is {ratio} x as fast as {other}"


def _ratio(one: Row, other: Row) -> str:
    return f"{one.seconds / other.seconds:.2f} ({one.fastest / other.fastest:.2f})"


if __name__ == "__main__":
    main()
