"""How much of its speed a model keeps beside other busy processes, under several settings of OpenMP's waiting.

    python -m benchmarks.busy --help

Threads that wait for each other at the end of a parallel region can spin or sleep. Spinning is fastest while every
thread has a core, and slow where another process takes one: the spinning threads then take the core from the one they
wait for. For each setting a process of its own holds the demo's models; all take turns, alone, beside one and beside
two processes that only count, and each figure is the median of ratios within a round. What else ran on the machine is
measured: a window in which that was more than ``--quiet`` cores is measured again, ``--tries`` times, and the largest
amount of those kept is printed with the table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from benchmarks.busy_work import KINDS
from walt.core.environment import DEFAULTS, WAITING

BESIDE = (0, 1, 2)
"""Numbers of busy processes."""
AS_IT_COMES = "as it comes"
OURS = "as walt sets it"
_TICKS = os.sysconf("SC_CLK_TCK")
_BUSY = "while True: pass"

Figures = dict[tuple[str, str, int], list[float]]
"""Steps per second by kind of work, setting and number of busy processes: one value per round."""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy", description=__doc__)
    parser.add_argument("--work", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--settings", nargs="*", default=["OMP_WAIT_POLICY=passive"], metavar="NAME=VALUE",
                        help=f"besides '{AS_IT_COMES}' and '{OURS}'")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a window")
    parser.add_argument("--quiet", type=float, default=0.1, help="cores that others may use in a window")
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--wait", type=float, default=60.0, help="longest wait for a quiet moment, before each try")
    parser.add_argument("--out", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    ours = " ".join(f"{name}={DEFAULTS[name]}" for name in WAITING if name in DEFAULTS)
    settings = {AS_IT_COMES: "", OURS: ours, **{setting: setting for setting in arguments.settings}}
    figures, others = measure(arguments, settings)
    text = table(figures, list(settings), others, arguments)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")


def measure(arguments: argparse.Namespace, settings: Mapping[str, str]) -> tuple[Figures, list[float]]:
    """All rounds; and how many cores others used in each window that counts."""
    figures: Figures = {}
    others: list[float] = []
    for kind in arguments.work:
        children = {name: Child(kind, setting) for name, setting in settings.items()}
        try:
            for _ in range(arguments.rounds):
                for beside, name in product(BESIDE, settings):
                    speed, used = _quiet_window(children[name], beside, arguments)
                    figures.setdefault((kind, name, beside), []).append(speed)
                    others.append(used)
                    print(f"{kind}, {name}, beside {beside}: {speed:.3g} steps/s; others {used:.2f}", file=sys.stderr)
        finally:
            for child in children.values():
                child.close()
    return figures, others


def _quiet_window(child: Child, beside: int, arguments: argparse.Namespace) -> tuple[float, float]:
    """Steps per second, and cores that others used: of the first window that was quiet enough, else of the quietest."""
    windows = []
    for _ in range(arguments.tries):
        _wait_for_quiet(arguments)
        windows.append(_window(child, beside, arguments.seconds))
        if windows[-1][1] <= arguments.quiet:
            break
    return min(windows, key=lambda window: window[1])


def _wait_for_quiet(arguments: argparse.Namespace) -> None:
    """Until a moment comes in which others use little, at most ``--wait`` seconds."""
    end = time.perf_counter() + arguments.wait
    while time.perf_counter() < end:
        before, start = _machine_seconds(), time.perf_counter()
        time.sleep(0.3)
        if (_machine_seconds() - before) / (time.perf_counter() - start) <= arguments.quiet:
            return


def _window(child: Child, beside: int, seconds: float) -> tuple[float, float]:
    with busy_processes(beside) as busy:
        own = [os.getpid(), child.pid, *busy]
        total, mine, start = _machine_seconds(), _process_seconds(own), time.perf_counter()
        steps = child.run(seconds)
        wall = time.perf_counter() - start
        used = _machine_seconds() - total - (_process_seconds(own) - mine)
    return steps / wall, max(0.0, used / wall)


class Child:
    """A process that holds a model and makes steps when it is asked."""

    def __init__(self, kind: str, setting: str) -> None:
        plain = {name: value for name, value in os.environ.items() if name not in (*WAITING, "OMP_NUM_THREADS")}
        chosen = dict(pair.split("=", 1) for pair in setting.split())
        command = [sys.executable, "-m", "benchmarks.busy_work", kind]
        self._process = subprocess.Popen(
            command, env=plain | chosen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.run(0.0)  # one step: what is made at the first is made

    def run(self, seconds: float) -> int:
        """Steps until so many seconds have passed, at least one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process of the model ended with status {self._process.wait()}")
        return int(answer)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def busy_processes(count: int) -> Iterator[list[int]]:
    """So many processes that only count; their ids."""
    processes = [subprocess.Popen([sys.executable, "-S", "-c", _BUSY]) for _ in range(count)]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _machine_seconds() -> float:
    """Processor seconds of the machine since it started, without idling and without what a host takes away."""
    user, nice, system, _idle, _wait, irq, soft, *_ = Path("/proc/stat").read_text(encoding="utf-8").split()[1:]
    return sum(map(int, (user, nice, system, irq, soft))) / _TICKS


def _process_seconds(pids: list[int]) -> float:
    """Processor seconds of these processes."""
    fields = [Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split() for pid in pids]
    return sum(int(own[11]) + int(own[12]) for own in fields) / _TICKS


def table(figures: Figures, settings: list[str], others: list[float], arguments: argparse.Namespace) -> str:
    """Medians of ratios, as Markdown."""
    rows = []
    for kind, setting in product(arguments.work, settings):
        alone = figures[kind, setting, 0]
        plain = figures[kind, AS_IT_COMES, 0]
        shares = [ratio(figures[kind, setting, beside], alone) for beside in BESIDE[1:]]
        rows.append([kind, setting, f"{statistics.median(alone):.3g}", ratio(alone, plain), *shares])
    from benchmarks.measure import machine, markdown_table  # torch: not before, what measures must hold no threads

    header = ["work", "setting", "steps/s alone", "alone / as it comes", "beside one / alone", "beside two / alone"]
    loud = sum(used > arguments.quiet for used in others)
    note = (
        f"{arguments.rounds} rounds of windows of {arguments.seconds:g} s; medians of ratios (least to most). "
        f"Other processes used {statistics.median(others):.2f} cores in the median of the {len(others)} windows and "
        f"{max(others):.2f} in the worst; {loud} had more than the {arguments.quiet:g} allowed. {os.cpu_count()} "
        f"cores; {machine('cpu').split(',')[0]}."
    )
    return f"{note}\n\n{markdown_table(header, rows)}"


def ratio(one: list[float], other: list[float]) -> str:
    """Median of the ratios of each round, and their spread."""
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
