"""What sampling costs besides the model, and what guidance costs, by the functions that ``walt sample`` calls.

    python -m benchmarks.sampling --help

Overhead is the share of the time in which the model does not run: schedule, guidance, noise, self-conditioning.
Guided and unguided take turns; the guided model evaluates both branches in one batch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure import machine, markdown_table, synchronize, take_turns
from walt.diffusion.schedule import Schedule
from walt.nn.device import keep_freed_memory
from walt.project.params import Params
from walt.project.recipes import load_recipe
from walt.sampling.denoise import Conditioning, Guidance, NoiseStream, sample_latents
from walt.sampling.prompt_inputs import Conditions, TextCondition
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

RECIPE = "demo"
TEXT_TOKENS = 16
SIZES = {
    "demo": {},
    "8 x 384": {
        "resolution": (128, 128), "latent_grid": (5, 16, 16), "layers": 8, "width": 384, "heads": 6, "mlp_width": 1536,
        "spatial_window": (1, 16, 16), "spatiotemporal_window": (5, 8, 8),
    },
}  # fmt: skip


class Timed:
    """Seconds that the model itself took, by hooks around its forward pass."""

    def __init__(self, model: WaltTransformer) -> None:
        self.seconds, self.calls, self._start = 0.0, 0, 0.0
        model.register_forward_pre_hook(lambda *_: self._begin())
        model.register_forward_hook(lambda *_: self._end())

    def _begin(self) -> None:
        synchronize()
        self._start = time.perf_counter()

    def _end(self) -> None:
        synchronize()
        self.seconds += time.perf_counter() - self._start
        self.calls += 1


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling", description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    keep_freed_memory(arguments.device)
    params = load_recipe(RECIPE)
    rows = []
    for name in arguments.sizes:
        config = TransformerConfig.model_validate({**params.base.model_dump(), **SIZES[name]})
        for batch in arguments.batches:
            rows.append([name, str(batch), *measure(config, params, batch, arguments)])
    header = ["model", "videos", "unguided, s", "guided, s", "guided / unguided", "overhead", "of it guided"]
    text = "\n".join(
        [
            f"{arguments.steps} steps, {arguments.precision}; median (fastest to slowest) of "
            f"{arguments.rounds} rounds. {machine(arguments.device)}.",
            "",
            markdown_table(header, rows),
        ]
    )
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")


def measure(config: TransformerConfig, params: Params, batch: int, arguments: argparse.Namespace) -> list[str]:
    """The cells of a row after the first two."""
    torch.manual_seed(0)
    model = WaltTransformer(config).to(arguments.device).eval()
    clock = Timed(model)
    shares: dict[float, list[float]] = {1.0: [], 2.0: []}

    def contestant(scale: float) -> Callable[[], Tensor]:
        def work() -> Tensor:
            clock.seconds, start = 0.0, time.perf_counter()
            sampled = sample(model, params, batch, scale, arguments)
            synchronize()
            shares[scale].append(1 - clock.seconds / (time.perf_counter() - start))
            return sampled

        return work

    timings = take_turns({"unguided": contestant(1.0), "guided": contestant(2.0)}, arguments.rounds)
    unguided, guided = timings["unguided"], timings["guided"]
    overheads = [f"{min(shares[scale][1:]):.2%} to {max(shares[scale][1:]):.2%}" for scale in (1.0, 2.0)]
    return [
        f"{unguided.median:.3g} ({unguided.spread})",
        f"{guided.median:.3g} ({guided.spread})",
        f"{guided.median / unguided.median:.2f}",
        *overheads,
    ]


def sample(model: WaltTransformer, params: Params, batch: int, scale: float, arguments: argparse.Namespace) -> Tensor:
    """Latents for ``batch`` prompts."""
    device = arguments.device
    width = model.config.text_width
    assert width is not None, "the recipe's model takes text"
    text = torch.randn(batch + 1, TEXT_TOKENS, width, device=device)
    mask = torch.ones(batch + 1, TEXT_TOKENS, dtype=torch.bool, device=device)
    conditioning = Conditioning(Conditions(TextCondition(text[1:], mask[1:], text[:1], mask[:1])))
    settings = params.sample.model_copy(update={"steps": arguments.steps, "precision": arguments.precision})
    stream = NoiseStream((0,) * batch, tuple(range(batch)), device=device)
    schedule, guidance = Schedule.from_config(params.diffusion), Guidance(scale, scale, 0.0)
    with torch.inference_mode():
        return sample_latents(model, schedule, conditioning, guidance, settings, stream, "base")


if __name__ == "__main__":
    main()
