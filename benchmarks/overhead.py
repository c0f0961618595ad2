"""What a training step costs outside the model: making batches, reading the loss, the log, checkpoints.

    python -m benchmarks.overhead --help

A short training runs as its stage runs it, with MLflow and checkpoints, on latents and text embeddings in tars. A clock
is around what belongs to the model: forward, backward, clipping, optimizer, moving average. All else is the overhead.
What does not happen in each step counts as often as in the demo's recipe: a line of the log every ``log_every`` steps,
a checkpoint's copy every ``checkpoint_every``, the wait for the last checkpoint once in a training. The first two steps
are left out. On a GPU the clock waits for the device at each border, so that what would run beside the model counts in
full: the share is an upper bound there.

``8x384`` is a transformer of 8 layers of width 384; ``demo`` is the demo's base model with its batch. Each setting runs
several times in turns, and the median is shown.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import save
from torch import nn

from benchmarks.measure import machine, markdown_table, synchronize
from walt.core.sizes import size_folder
from walt.data.captions import Caption
from walt.data.clip_table import ClipRow
from walt.data.clip_table_writer import write_clip_rows
from walt.data.conditions import open_conditions
from walt.data.distinct_captions import caption_id, write_captions
from walt.data.latent_dataset import LatentDataset
from walt.data.prefetch import PrefetchedSteps
from walt.data.shards import NULL_KEY, shard_name, write_index, write_shard
from walt.diffusion.schedule import Schedule
from walt.nn.device import keep_freed_memory, prefetch_depth, select_device
from walt.project.params import Params
from walt.project.recipes import load_recipe
from walt.tracking.config import TrackingConfig
from walt.tracking.runs import start_run
from walt.training import checkpoint_writer, diffusion_objective, loop, trained_model
from walt.training.config import DiffusionTrainingConfig
from walt.training.diffusion_objective import BatchMaker, DiffusionObjective
from walt.training.loop import train
from walt.training.terms import Terms
from walt.training.trained_model import ExponentialMovingAverage
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

GOALS = {"8x384": 0.03, "demo": 0.15}
"""The most that may be outside the model, as a share."""
CLIPS = 256
WARM_UP = 2


@dataclass
class Clock:
    """Seconds by what they were spent on."""

    seconds: dict[str, float] = field(default_factory=dict)

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted under ``name``."""

        def timed(*arguments: Any, **named: Any) -> Any:
            synchronize()
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                synchronize()
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

        return timed


def settings(name: str, params: Params, arguments: argparse.Namespace) -> tuple[TransformerConfig, dict[str, Any]]:
    """The architecture, and what of its training differs from the demo's."""
    steps = WARM_UP + {"8x384": arguments.steps, "demo": 5 * arguments.steps}[name]
    # one checkpoint on the way and one at the end, two lines of the log
    changes: dict[str, Any] = {"steps": steps, "log_every": steps // 2, "checkpoint_every": steps // 2 + 1}
    if name == "demo":
        return params.base, changes
    wide = {"layers": 8, "width": 384, "heads": 6, "mlp_width": 1536}
    return params.base.model_copy(update=wide), changes


def write_data(root: Path, architecture: TransformerConfig) -> None:
    """Random latents and text embeddings of ``CLIPS`` videos, in tars as the stages write them."""
    torch.manual_seed(0)
    keys = [f"{number:064x}" for number in range(CLIPS)]
    shape = (architecture.latent_channels, *architecture.latent_grid)
    folder = root / "latents" / size_folder(architecture.resolution)
    latents = ((key, {"safetensors": save({"latents": torch.randn(shape).half()})}) for key in keys)
    write_index(folder, "x", [write_shard(folder / shard_name("latents", 0), latents)])
    write_clip_rows(root / "latents", [ClipRow(key, "video", "train", 0, key, 0.0, 17) for key in keys])
    text = ((name, _text(architecture)) for name in [*map(caption_id, keys), NULL_KEY])
    write_index(root / "text", "x", [write_shard(root / "text" / shard_name("text", 0), text)])
    write_captions(root / "text", ((key, [Caption("", key)]) for key in keys), 16)


def _text(architecture: TransformerConfig) -> dict[str, bytes]:
    assert architecture.text_width is not None
    return {"safetensors": save({"embedding": torch.randn(16, architecture.text_width).half()})}


@contextmanager
def clocks(clock: Clock) -> Iterator[None]:
    """Have the clock count what belongs to the model, and the parts of what does not."""
    places: list[tuple[Any, str, str]] = [
        (diffusion_objective, "prediction_loss", "model"),
        (torch.autograd, "backward", "model"),
        (nn.utils, "clip_grad_norm_", "model"),
        (trained_model.TrainedModel, "update", "model"),
        (ExponentialMovingAverage, "update", "model"),
        (DiffusionObjective, "batch", "batches"),
        (loop, "_read", "reading the loss"),
        (loop.RunState, "log_line", "log"),
        (checkpoint_writer.CheckpointWriter, "write", "checkpoint: copy"),
        (checkpoint_writer.CheckpointWriter, "wait", "checkpoint: wait"),
    ]
    with ExitStack() as patches:
        for owner, name, label in places:
            patches.enter_context(patch.object(owner, name, clock.around(label, getattr(owner, name))))
        yield


def measure(name: str, params: Params, device: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a step by what they are spent on, measured in one training."""
    architecture, changes = settings(name, params, arguments)
    training = DiffusionTrainingConfig.model_validate({**params.train_base.model_dump(), **changes})
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_data(root, architecture)
        torch.manual_seed(0)
        model = WaltTransformer(architecture).to(device)
        schedule = Schedule.from_config(params.diffusion)
        maker = BatchMaker(
            architecture, schedule, LatentDataset(root / "latents", architecture.resolution, "train"), None,
            open_conditions(root / "text", architecture.conditioning, None), training.condition_dropout, 0.0, 0,
        )  # fmt: skip
        objective = DiffusionObjective(model, schedule, maker, training, 0)
        tracking = TrackingConfig(
            uri="sqlite:///mlflow.db", experiment="overhead", model_prefix="x", system_metrics=False
        )
        with (
            start_run(tracking, root, "overhead", {}, {}) as tracked,
            clocks(clock),
            PrefetchedSteps(objective.batch, stop=training.steps, depth=prefetch_depth(device)) as batches,
        ):

            def losses(step: int) -> Iterator[Terms]:
                if step == WARM_UP:
                    synchronize()
                    clock.seconds = {"all": -time.perf_counter()}
                return objective.losses(step, batches(step))

            log = clock.around("log", lambda step, metrics: tracked.log_metrics(metrics, step))
            train(
                name=name, model=model, losses=losses, config=training, identity={}, work=root / "work", on_log=log,
            )  # fmt: skip
            clock.seconds["all"] += time.perf_counter()
    return per_step(clock.seconds, training.steps - WARM_UP, params.train_base)


def per_step(seconds: dict[str, float], steps: int, recipe: DiffusionTrainingConfig) -> dict[str, float]:
    """Milliseconds of a step of a training as the recipe has it; ``all`` is their sum."""
    parts = {"log": (2, recipe.log_every), "checkpoint: copy": (2, recipe.checkpoint_every)}
    parts["checkpoint: wait"] = (1, recipe.steps)
    found = {name: 1e3 * seconds[name] / times / every for name, (times, every) in parts.items()}
    every_step = ("model", "batches", "reading the loss")
    found |= {name: 1e3 * seconds[name] / steps for name in every_step}
    found["rest"] = 1e3 * (seconds["all"] - sum(seconds[name] for name in (*parts, *every_step))) / steps
    return {**found, "all": sum(found.values())}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="of 8x384; the demo's model takes five times as many")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    arguments = parser.parse_args()
    device, params = select_device(arguments.device), load_recipe("demo")
    keep_freed_memory(device)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in GOALS}
    for _ in range(arguments.rounds):
        for name, found in rounds.items():
            found.append(measure(name, params, device, arguments))
    print(f"{machine(device)}; median of {arguments.rounds} rounds\n\n{table(rounds)}")


def table(rounds: dict[str, list[dict[str, float]]]) -> str:
    """Milliseconds a step, and the share outside the model: medians over the rounds."""
    parts = ("all", "model", "batches", "reading the loss", "log", "checkpoint: copy", "checkpoint: wait", "rest")
    rows = []
    for name, found in rounds.items():
        shares = [1 - one["model"] / one["all"] for one in found]
        cells = [f"{statistics.median(one[part] for one in found):.2f}" for part in parts]
        spread = f"{min(shares):.1%} to {max(shares):.1%}"
        rows.append([name, *cells, f"{statistics.median(shares):.1%} ({spread})", f"{GOALS[name]:.0%}"])
    return markdown_table(["", "a step, ms", *parts[1:], "outside the model", "goal"], rows)


if __name__ == "__main__":
    main()
