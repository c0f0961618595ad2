"""How long people wait at ``walt ui``: until a request begins, until its first preview, and what batching would be.

    python -m benchmarks.ui --help

Models of the demo's size with random weights. Requests go to the same ``Studio`` that the page's calls go to, in this
process. Previews and no previews take turns, and so do one video and a batch of two.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure import machine, markdown_table, take_turns
from walt.autoencoder.io import save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.commands.sample.generate import Request, plan_of
from walt.commands.sample.models import find_models
from walt.commands.ui import worker
from walt.commands.ui.jobs import Job
from walt.commands.ui.orders import Order
from walt.commands.ui.studio import Settings, Studio
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.core.transformers import TRANSFORMERS
from walt.project.recipes import load_recipe, recipe_text
from walt.sampling.prompt_to_video import SampleBatch
from walt.text.encoder import open_text_encoder
from walt.text.tiny import build_tiny_encoder
from walt.transformer.model import WaltTransformer, save_transformer

RECIPE = "demo"
PROMPTS = ("a red circle moving left", "a green square moving up")
_SETTINGS = Settings(
    seconds=60.0, upload_megabytes=1.0, uploads_megabytes=10.0, upload_seconds=1.0, waiting=10, loaded=2
)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ui", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="by default the recipe's")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_project(root)
        rows = [*waits(root, arguments.rounds, arguments.steps), *batches(root, arguments.rounds, arguments.steps)]
    steps = arguments.steps or load_recipe(RECIPE).sample.steps
    text = "\n".join(
        [
            f"Models of the {RECIPE}'s size, {steps} steps each; median (fastest to slowest) of {arguments.rounds}. "
            f"{machine('cuda' if torch.cuda.is_available() else 'cpu')}.",
            "",
            markdown_table(["what", "measured"], rows),
        ]
    )
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")


def make_project(root: Path) -> None:
    """A project with the recipe's models, whose weights are random: they take as long as trained ones."""
    (root / "params.yaml").write_text(recipe_text(RECIPE), encoding="utf-8")
    params, paths = load_recipe(RECIPE), Paths(root)
    assert params.text is not None
    torch.manual_seed(0)
    build_tiny_encoder(list(PROMPTS), params.text.tiny, 0, paths.text_encoder)
    open_text_encoder("tiny", params.text.max_tokens, "cpu", paths.text_encoder).describe(paths.text_encoder)
    channels = params.autoencoder.latent_channels
    statistics_of_latents = LatentStatistics(torch.zeros(channels), torch.ones(channels), 8)
    save_autoencoder(paths.autoencoder, CausalAutoencoder(params.autoencoder), statistics_of_latents)
    for transformer in TRANSFORMERS:
        folder = paths.root / transformer.folder
        if transformer.name not in params.transformers():
            leave_out(folder, transformer.name)
            continue
        model = WaltTransformer(params.transformers()[transformer.name][0])
        with torch.no_grad():
            for weight in model.parameters():  # layers that begin at zero would make all videos the same
                weight.add_(torch.randn_like(weight), alpha=0.02)
        save_transformer(folder, model)


def waits(root: Path, rounds: int, steps: int | None) -> list[list[str]]:
    """Seconds until a request begins, and the first preview's share of its whole time."""
    studio = Studio(root, root / "samples/ui", _SETTINGS)
    studio.start()
    cold = _followed(studio, 0, steps)
    warm = [_followed(studio, number, steps) for number in range(1, rounds + 1)]
    shares = [one.preview / one.whole for one in warm]
    shown = worker.PREVIEWS

    def made(previews: tuple[float, ...]) -> Callable[[], object]:
        def work() -> object:
            worker.PREVIEWS = previews
            return _followed(studio, 0, steps)

        return work

    try:
        turns = take_turns({"with": made(shown), "without": made(())}, rounds)
    finally:
        worker.PREVIEWS = shown
    ratio = turns["with"].median / turns["without"].median
    return [
        ["first request: until sampling begins, loading included", f"{cold.begin:.2f} s"],
        ["request with warm models: until sampling begins", _seconds([one.begin for one in warm])],
        ["whole request, kept as a file", _seconds([one.whole for one in warm])],
        ["first preview, of the whole", f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"],
        ["with previews / without", f"{ratio:.2f}"],
    ]


class _Followed:
    """Seconds from a request until it begins, has a preview, and has ended."""

    def __init__(self, job: Job, asked: float) -> None:
        self.preview = float("inf")
        while job.state in ("waiting", "running"):
            if job.previews and self.preview == float("inf"):
                self.preview = time.monotonic() - asked
            time.sleep(0.002)
        self.whole = time.monotonic() - asked
        assert job.state == "done", job.problem
        assert job.sampling_since is not None
        self.begin = job.sampling_since - asked


def _followed(studio: Studio, seed: int, steps: int | None) -> _Followed:
    asked = time.monotonic()
    job = studio.queue.find(studio.submit(Order(prompt=PROMPTS[0], seed=seed, steps=steps)).id)
    assert job is not None
    return _Followed(job, asked)


def batches(root: Path, rounds: int, steps: int | None) -> list[list[str]]:
    """Two requests as one batch: how long it would take, and whether each gets the bits that it has alone."""
    models = find_models(root)
    plan = plan_of(Request(prompts=PROMPTS, steps=steps), models.params, models.load())

    def sampled(prompts: tuple[str, ...], precision: str) -> SampleBatch:
        settings = plan.settings.model_copy(update={"precision": precision})
        return plan.pipeline(prompts, 0, settings, indices=[0] * len(prompts))

    clock = time.process_time if plan.pipeline.device == "cpu" else time.perf_counter  # other work may run beside it
    rows = []
    for precision in ("fp32", "bf16"):
        contestants = {
            name: partial(sampled, prompts, precision) for name, prompts in (("two", PROMPTS), ("one", PROMPTS[:1]))
        }
        timings = take_turns(contestants, rounds, clock)
        alone = torch.cat([sampled((prompt,), precision).videos for prompt in PROMPTS])
        together = sampled(PROMPTS, precision).videos
        equal = "the same bits" if torch.equal(alone, together) else "other bits"
        furthest = float((alone - together).abs().max()) / 2
        rows.append(
            [
                f"two requests as a batch / one, {precision}",
                f"{timings['two'].median / timings['one'].median:.2f}; {equal} than alone, "
                f"by at most {furthest:.1e} of the range",
            ]
        )
    return rows


def _seconds(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} s ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()
