"""Samples per second of the loader, beside other libraries' and a raw memory map, and what opening a dataset costs.

    python -m benchmarks.loader --before ../main --peers FOLDER

All contestants (``benchmarks.loader_forms``) read the same samples, which are in the system's memory, in processes of
their own that take turns; the first pass of each is shown apart, the others are medians. ``--before`` is a checkout of
an earlier version of this project, read by its own code. ``--peers`` is a folder with libraries that the project does
not have, as ``pip install --no-deps --target FOLDER litdata mosaicml-streaming ...`` makes it; a contestant that cannot
start is left out, and named. Seconds are of processors, which other work on the machine hardly changes; with
``--clock`` they are of the clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.loader_forms import CONTESTANTS, write_stored_form
from benchmarks.measure import machine, markdown_table

GOALS = {"memory map": 0.7, "litdata": 2.5, "litdata, stored order": 2.5, "WebDataset, npy": 8.0}
"""How many times as fast ours is to be."""
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Contestant:
    """A process that reads when it is asked to."""

    name: str
    process: subprocess.Popen[str]
    passes: list[float] = field(default_factory=list)
    """Seconds of each pass."""

    def read(self, clock: bool) -> None:
        """One pass."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.passes.append(float(self.process.stdout.readline().split()[0 if clock else 1]))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--clips", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--before", type=Path, help="checkout of an earlier version")
    parser.add_argument("--peers", type=Path, help="folder with other libraries")
    parser.add_argument("--clock", action="store_true", help="the clock's seconds, not those of processors")
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_stored_form(Path(folder) / "walt", arguments.clips)
        time.sleep(2.5)  # files that have just changed get no stamp: walt.core.verified_files
        contestants = [found for name in arguments.only if (found := start(name, Path(folder), arguments)) is not None]
        for _ in range(arguments.rounds):
            for contestant in contestants:
                contestant.read(arguments.clock)
        for contestant in contestants:
            contestant.process.communicate()
    print(f"{machine('cpu')}; {arguments.clips} samples in batches of {arguments.batch}; {arguments.rounds} rounds.\n")
    header = ["", "first pass, thousand/s", "later passes, thousand/s", "least to most", "ours is", "goal"]
    print(markdown_table(header, rows(contestants, arguments.clips)))


def start(name: str, folder: Path, arguments: argparse.Namespace) -> Contestant | None:
    """Start a contestant and wait until it is ready; None where it cannot take part."""
    if name.startswith("before") and arguments.before is None:
        return None
    first = [str(arguments.before.resolve())] if name.startswith("before") else []
    last = [str(arguments.peers.resolve())] if arguments.peers else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WALT_CACHE": str(folder / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join([*first, str(ROOT), *last])
    command = [sys.executable, str(ROOT / "benchmarks/loader_forms.py"), name, str(folder)]
    with open(folder / "errors.txt", "w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*command, str(arguments.clips), str(arguments.batch)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line == "ready\n":
            return Contestant(name, process)
    lines = (folder / "errors.txt").read_text(encoding="utf-8").splitlines()
    print(f"{name} is left out: {lines[-1] if lines else 'no message'}")
    return None


def rows(contestants: list[Contestant], clips: int) -> list[list[str]]:
    """The lines of the table: thousand samples per second, and how many times as fast ours is (later passes)."""
    later = {contestant.name: [clips / 1000 / one for one in contestant.passes[1:]] for contestant in contestants}
    lines = []
    for contestant in contestants:
        name, speeds = contestant.name, later[contestant.name]
        own = "ours, float32" if "float32" in name else "ours, stored order" if "stored order" in name else "ours"
        ratios = [a / b for a, b in zip(later.get(own, []), speeds, strict=False)]
        shown = f"{statistics.median(ratios):.2f} x" if ratios and name != own else ""
        goal = f"{GOALS[name]} x" if name in GOALS else ""
        first = clips / 1000 / contestant.passes[0]
        spread = f"{min(speeds):.1f} to {max(speeds):.1f}"
        lines.append([name, f"{first:.1f}", f"{statistics.median(speeds):.1f}", spread, shown, goal])
    return lines


if __name__ == "__main__":
    main()
