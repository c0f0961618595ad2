"""What all benchmarks share: interleaved timing, counted FLOPs, the machine in words, tables in Markdown.

Machines are noisy, so figures are medians of rounds in which all contestants take turns, and shares of what a large
matrix product reaches in the same rounds.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from walt.nn.device import computes_bf16

Work = Callable[[], object]
MATMUL_SIDE = 2048


@dataclass(frozen=True)
class Timing:
    """Seconds of one contestant, one value per round."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        """Fastest to slowest, to show the spread."""
        return f"{min(self.seconds):.3g} to {max(self.seconds):.3g}"


def take_turns(
    contestants: Mapping[str, Work], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Timing]:
    """Run all contestants once without a clock, then ``rounds`` times in turns."""
    for work in contestants.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            synchronize()
            start = clock()
            work()
            synchronize()
            seconds[name].append(clock() - start)
    return {name: Timing(values) for name, values in seconds.items()}


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def operator_seconds(work: Work) -> dict[str, float]:
    """Where the time of one call goes: seconds of each operator itself, the longest first (torch's profiler)."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities) as profiler:
        work()
        synchronize()
    on_gpu = torch.cuda.is_available()
    seconds = {
        event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6
        for event in profiler.key_averages()
    }
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def training_dtype(device: str) -> torch.dtype:
    """What trainings compute in where they are set to bf16."""
    return torch.bfloat16 if computes_bf16(device) else torch.float32


def matmul(dtype: torch.dtype, device: str) -> tuple[Work, int]:
    """The reference: a product of square matrices, and its FLOPs."""
    side = MATMUL_SIDE if device == "cpu" else 4 * MATMUL_SIDE
    one, other = (torch.randn(side, side, dtype=dtype, device=device) for _ in range(2))
    return lambda: one @ other, 2 * side**3


def machine(device: str) -> str:
    """What the figures were measured on."""
    if device != "cpu":
        return f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}"
    name = platform.processor() or platform.machine()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    threads = torch.get_num_threads()
    count = f"{threads} thread{'s' if threads != 1 else ''}"
    return f"{models[0] if models else name}, {count}, PyTorch {torch.__version__}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with aligned columns."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)
