"""The distances between two sets of features, beside torchmetrics' in turns, and where the time goes.

    python -m benchmarks.evaluation --clips 2048 --features 400 2048

Features are given as arrays; the first turn is not counted. Each contestant's peak of memory is of a process of its
own, less what it had before. Seconds are of processors.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.measure import machine, markdown_table
from walt.core.storage import write_bytes
from walt.evaluation.frechet import frechet_distance
from walt.evaluation.kernels import KID
from walt.evaluation.resampling import kernel_figure

Features = NDArray[np.float64]
GOALS = {"seconds": 0.2, "memory": 0.5}
"""Of torchmetrics'."""


class AsTheyAre(nn.Module):
    """Takes the place of torchmetrics' network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def drawn(clips: int, num_features: int, seed: int) -> Features:
    """Features with a few strong directions, as networks' are."""
    rng = np.random.default_rng(seed)
    strengths = 1.0 / np.sqrt(1.0 + np.arange(num_features))
    return rng.standard_normal((clips, num_features)) * strengths + 0.1 * seed


def ours(real: Features, generated: Features) -> float:
    """The distance as an evaluation takes it, without its interval."""
    return frechet_distance(real, generated)


def theirs(real: Features, generated: Features) -> float:
    """Of torchmetrics, in batches of 64: the same numbers of float64, and the same sums over them."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=AsTheyAre(real.shape[1]), normalize=False)
    for side, is_real in ((real, True), (generated, False)):
        for batch in torch.from_numpy(side).split(64):
            metric.update(batch, real=is_real)
    return float(metric.compute())


def ours_kid(real: Features, generated: Features) -> float:
    """The discrepancy of whole sets, with its interval of 200 resamples."""
    return kernel_figure(KID, real, generated, {}).value


def theirs_kid(real: Features, generated: Features) -> float:
    """The mean over 100 subsets of 1000, as torchmetrics has it."""
    from torchmetrics.image.kid import KernelInceptionDistance

    metric = KernelInceptionDistance(feature=AsTheyAre(real.shape[1]), subset_size=min(1000, len(real)))
    for side, is_real in ((real, True), (generated, False)):
        metric.update(torch.from_numpy(side.astype(np.float32)), real=is_real)
    return float(metric.compute()[0])


CONTESTANTS: dict[str, dict[str, Callable[[Features, Features], float]]] = {
    "Frechet distance": {"ours": ours, "torchmetrics": theirs},
    "KID": {"ours": ours_kid, "torchmetrics": theirs_kid},
}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--clips", type=int, default=2048)
    parser.add_argument("--features", type=int, nargs="+", default=[400, 2048])
    parser.add_argument("--metrics", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="file for the table")
    parser.add_argument("--peak", nargs=2, metavar=("METRIC", "WHOSE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak(arguments.peak[0], arguments.peak[1], arguments.clips, arguments.features[0]))
        return
    rows = [
        compare(metric, arguments.clips, num_features, arguments.rounds)
        for metric in arguments.metrics
        for num_features in arguments.features
    ]
    header = ["", "features", "ours", "torchmetrics", "ratio", "memory, ours", "torchmetrics", "ratio"]
    goals = f"Goals of the ratios for the distance: {GOALS['seconds']} and {GOALS['memory']}."
    largest = max(arguments.features)
    text = "\n\n".join(
        [machine("cpu"), markdown_table(header, rows), goals, f"Where our time goes, {largest} features:",
         f"```\n{profile(arguments.clips, largest)}```"]
    )  # fmt: skip
    print(text)
    if arguments.out:
        write_bytes(arguments.out, f"{text}\n".encode())


def compare(metric: str, clips: int, num_features: int, rounds: int) -> list[str]:
    """A row of the table: medians of turns."""
    sides = drawn(clips, num_features, 0), drawn(clips, num_features, 1)
    seconds: dict[str, list[float]] = {whose: [] for whose in CONTESTANTS[metric]}
    for turn in range(rounds + 1):
        for whose, contestant in CONTESTANTS[metric].items():
            before = time.process_time()
            contestant(*sides)
            if turn:  # the first one imports
                seconds[whose].append(time.process_time() - before)
    medians = {whose: statistics.median(found) for whose, found in seconds.items()}
    peaks = {whose: _peak_elsewhere(metric, whose, clips, num_features) for whose in seconds}
    return [
        metric, str(num_features),
        *(f"{medians[whose]:.2f} s" for whose in seconds), f"{medians['ours'] / medians['torchmetrics']:.2f}",
        *(f"{peaks[whose]:.0f} MiB" for whose in seconds), f"{peaks['ours'] / max(peaks['torchmetrics'], 1.0):.2f}",
    ]  # fmt: skip


def peak(metric: str, whose: str, clips: int, num_features: int) -> float:
    """MiB that a contestant adds to this process, its libraries loaded before."""
    contestant = CONTESTANTS[metric][whose]
    contestant(drawn(16, 8, 0), drawn(16, 8, 1))
    sides = drawn(clips, num_features, 0), drawn(clips, num_features, 1)
    before = _high_water()
    contestant(*sides)
    return (_high_water() - before) / 1024


def _high_water() -> int:
    """KiB; not ``ru_maxrss``, in which a process begins with what the one that started it had."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def _peak_elsewhere(metric: str, whose: str, clips: int, num_features: int) -> float:
    command = [sys.executable, "-m", "benchmarks.evaluation", "--peak", metric, whose]
    command += ["--clips", str(clips), "--features", str(num_features)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def profile(clips: int, num_features: int) -> str:
    """The functions in which the distance spends most of its time."""
    sides = [drawn(clips, num_features, seed) for seed in (0, 1)]
    profiler, text = cProfile.Profile(), StringIO()
    profiler.runcall(frechet_distance, *sides)
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(6)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines() if "(" in line)


if __name__ == "__main__":
    main()
