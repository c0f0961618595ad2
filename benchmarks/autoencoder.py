"""Our causal autoencoder against diffusers' CogVideoX and Wan autoencoders, in the same run.

    python -m benchmarks.autoencoder --help

All have random weights and encode and decode the same clip. They differ in size, so what is compared is arithmetic
throughput: FLOPs per second, and what share that is of a large matrix product's in the same rounds. The peers run as
shipped and with their weights and input laid out channels-last; ours is channels-last by default. On processors freed
memory is kept for all of them (``keep_freed_memory``), as ``encode-video`` does.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import Work, machine, markdown_table, matmul, operator_seconds, take_turns
from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.model import CausalAutoencoder
from walt.nn.accounting import forward_flops
from walt.nn.causal import use_channels_last
from walt.nn.device import keep_freed_memory
from walt.project.recipes import load_recipe

OURS = "W.A.L.T"
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    precision: str
    model: str
    layout: str
    work: str
    seconds: float
    spread: str
    gflop: float
    gflop_per_second: float
    share_of_matmul: float
    in_convolutions: float
    """Share of the time, by the profiler, in a separate round."""


def main() -> None:
    """Measure, print the table, and write it where ``--out`` says."""
    arguments = parse()
    keep_freed_memory(arguments.device)
    torch.manual_seed(0)
    rows: list[Row] = []
    with torch.inference_mode():
        for precision in arguments.precisions:
            rows += measure(precision, arguments)
    text = render(rows, arguments)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autoencoder", description=__doc__)
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--side", type=int, default=128, help="height and width of the clip")
    parser.add_argument("--width", type=int, default=128, help="base channels of ours; the paper's is 128")
    parser.add_argument("--blocks", type=int, default=4, help="residual blocks per level of ours; the paper's is 4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", choices=sorted(DTYPES), default=["bf16", "fp32"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--clock", choices=sorted(CLOCKS), default="wall", help="processor: beside other work, one thread"
    )
    parser.add_argument("--peers", nargs="+", choices=["CogVideoX", "Wan"], default=["CogVideoX", "Wan"])
    parser.add_argument("--compile", action="store_true", help="add ours under torch.compile")
    parser.add_argument("--out", type=Path, help="write the table here too")
    parser.add_argument("--json", type=Path, help="write the rows here")
    return parser.parse_args()


def measure(precision: str, arguments: argparse.Namespace) -> list[Row]:
    """All contestants in one precision, taking turns."""
    dtype, device = DTYPES[precision], arguments.device
    clip = torch.rand(1, 3, arguments.frames, arguments.side, arguments.side, device=device).mul(2).sub(1).to(dtype)
    work: dict[tuple[str, str, str], Work] = {}
    for model, layout, encode, decode in contestants(arguments, dtype):
        video = clip.contiguous(memory_format=torch.channels_last_3d) if layout != "as shipped" else clip
        latents = encode(video)
        work[model, layout, "encode"] = partial(encode, video)
        work[model, layout, "decode"] = partial(decode, latents)
    product, product_flops = matmul(dtype, device)
    flops = {" / ".join(key): forward_flops(one) for key, one in work.items() if "compiled" not in key[1]}
    turns = {"matmul": product} | {" / ".join(key): one for key, one in work.items()}
    timings = take_turns(turns, arguments.rounds, CLOCKS[arguments.clock])
    peak = product_flops / timings["matmul"].median
    rows = [
        Row(precision, f"matmul {round((product_flops / 2) ** (1 / 3))}^3", "-", "-", timings["matmul"].median,
            timings["matmul"].spread, product_flops / 1e9, peak / 1e9, 1.0, 0.0)
    ]  # fmt: skip
    for model, layout, what in work:
        timing = timings[f"{model} / {layout} / {what}"]
        counted = flops[f"{model} / {layout.removesuffix(', compiled')} / {what}"]
        rate = counted / timing.median
        rows.append(
            Row(precision, model, layout, what, timing.median, timing.spread, counted / 1e9, rate / 1e9, rate / peak,
                convolution_share(work[model, layout, what]))
        )  # fmt: skip
    return rows


def convolution_share(work: Work) -> float:
    """Share of a call's time that convolutions take: what no better layout or fusion around them could save."""
    seconds = operator_seconds(work)
    return sum(value for name, value in seconds.items() if "conv" in name) / sum(seconds.values())


def contestants(arguments: argparse.Namespace, dtype: torch.dtype) -> Iterator[tuple[str, str, Any, Any]]:
    """(model, layout, encode, decode); each model is made at its turn, so that a failure names it."""
    ours = CausalAutoencoder(autoencoder_config(arguments))
    ours = ours.eval().to(arguments.device, dtype)
    use_channels_last(ours)
    yield OURS, "channels-last", lambda video: ours.encode(video)[0], ours.decode
    if arguments.compile:
        encoder, decoder = torch.compile(ours.encoder), torch.compile(ours.decoder)
        half = ours.config.latent_channels
        yield OURS, "channels-last, compiled", lambda video: encoder(video)[:, :half], decoder
    for name, peer in ((name, peer) for name, peer in peers() if name in arguments.peers):
        for layout in ("as shipped", "channels-last"):
            model = peer().eval().to(arguments.device, dtype)
            if layout == "channels-last":
                use_channels_last(model)
            yield name, layout, *peer_functions(model)


def autoencoder_config(arguments: argparse.Namespace) -> AutoencoderConfig:
    """The paper's, as the recipe has it, in the size that the command line says."""
    sizes = {"base_channels": arguments.width, "blocks_per_level": arguments.blocks}
    return AutoencoderConfig.model_validate(load_recipe("ucf101").autoencoder.model_dump() | sizes)


def peers() -> list[tuple[str, Any]]:
    """diffusers' autoencoders in the sizes in which they are shipped."""
    from diffusers import AutoencoderKLCogVideoX, AutoencoderKLWan

    return [("CogVideoX", AutoencoderKLCogVideoX), ("Wan", AutoencoderKLWan)]


def peer_functions(model: nn.Module) -> tuple[Any, Any]:
    """(encode, decode) of a diffusers autoencoder, tensors in and out."""

    def encode(video: Tensor) -> Tensor:
        return model.encode(video).latent_dist.mean  # type: ignore[operator]

    def decode(latents: Tensor) -> Tensor:
        return model.decode(latents).sample  # type: ignore[operator]

    return encode, decode


def render(rows: list[Row], arguments: argparse.Namespace) -> str:
    """The table, and under it the ratios to the better peer."""
    seconds = "seconds" if arguments.clock == "wall" else "processor seconds"
    header = ["precision", "model", "layout", "work", seconds, "GFLOP", "GFLOP/s", "of matmul", "in convolutions"]
    cells = [
        [row.precision, row.model, row.layout, row.work, f"{row.seconds:.3g} ({row.spread})", f"{row.gflop:.0f}",
         f"{row.gflop_per_second:.0f}", f"{row.share_of_matmul:.0%}",
         f"{row.in_convolutions:.0%}" if row.in_convolutions else "-"]
        for row in rows
    ]  # fmt: skip
    shape = f"{arguments.frames}x{arguments.side}x{arguments.side}"
    lines = [
        f"{shape}, batch 1; ours with {arguments.width} base channels and {arguments.blocks} blocks per level; median "
        f"(fastest to slowest) of {arguments.rounds} rounds. {machine(arguments.device)}.",
        "",
        markdown_table(header, cells),
        "",
    ]
    return "\n".join([*lines, *ratios(rows)])


def ratios(rows: list[Row]) -> Iterator[str]:
    """GFLOP/s of ours over the better peer's, for each precision, kind of work and layout of the peers."""
    for precision in dict.fromkeys(row.precision for row in rows):
        for what in ("encode", "decode"):
            some = [row for row in rows if row.precision == precision and row.work == what]
            ours = max((row for row in some if row.model == OURS), key=lambda row: row.gflop_per_second)
            for layout in ("as shipped", "channels-last"):
                peer = max(
                    (row for row in some if row.model != OURS and row.layout == layout),
                    key=lambda row: row.gflop_per_second,
                )
                ratio = ours.gflop_per_second / peer.gflop_per_second
                yield f"- {precision} {what}: {ratio:.2f} x the better peer {layout} ({peer.model})"


if __name__ == "__main__":
    main()
