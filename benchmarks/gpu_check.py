"""Everything that only a GPU runs, once, in at most 8 minutes: ``make gpu-check``, on any CUDA card.

    python -m benchmarks.gpu_check --help

Each model's training step in bf16, as it is and compiled; activation checkpointing; fused attention with a bias that
needs a gradient; channels-last through group norm; sampling; the autoencoder; one rank of a distributed step;
resumption; and the utilisation of W.A.L.T-L and XL against a large matrix product. A check that fails is a row that
says so, and the exit status is 1. ``--device cpu --tiny`` runs all of it in small on a processor, which shows only that
the script runs. Longer tables: ``benchmarks.transformer_gpu``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch._dynamo.exc

from benchmarks import transformer_gpu
from benchmarks.gpu_checks import CHECKS, free_memory
from benchmarks.gpu_models import CheckError, Setup
from benchmarks.measure import machine, markdown_table
from walt.core.errors import WaltError

PAGE = Path(__file__).resolve().parents[1] / "docs/results/gpu.md"
GOAL = 0.5
"""Of what a large matrix product reaches: what the steps of L and XL should."""
BROKEN = (
    CheckError, WaltError, RuntimeError, AssertionError, AttributeError, LookupError, TypeError, ValueError,
    torch._dynamo.exc.FailOnRecompileLimitHit,
)  # fmt: skip
"""What a check may end with; torch's own, those of CUDA and of the compiler among them, are RuntimeErrors but one."""
_UTILISATION = "utilisation"

Row = tuple[str, str, str]


def main() -> None:
    """Run the checks, print the page, and write it where it belongs. Ends with status 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="all in small; with the processor, always")
    parser.add_argument("--minutes", type=float, default=8.0, help="no check begins after so many")
    parser.add_argument("--only", nargs="+", choices=[*CHECKS, _UTILISATION], help="these checks alone")
    parser.add_argument("--out", type=Path, help="write the page here; on a GPU by default docs/results/gpu.md")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu-check: torch finds no CUDA card; --device cpu --tiny is a dry run")
    if arguments.device == "cpu" and not arguments.tiny:
        raise SystemExit("gpu-check: with --device cpu everything is in small: add --tiny")
    with tempfile.TemporaryDirectory() as work:
        rows, failed, tables = run(Setup(arguments.device, arguments.tiny, Path(work)), arguments)
    text = page(arguments, rows, tables)
    print(text)
    out = arguments.out or (PAGE if arguments.device == "cuda" and not arguments.tiny and not arguments.only else None)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    sys.exit(1 if failed else 0)


def run(setup: Setup, arguments: argparse.Namespace) -> tuple[list[Row], bool, list[str]]:
    """The rows of all checks, whether one failed, and the tables of utilisation."""
    start, rows, failed, tables = time.perf_counter(), [], False, []
    for name in arguments.only or [_UTILISATION, *CHECKS]:
        began = time.perf_counter()
        if began - start > 60 * arguments.minutes:
            rows.append((name, "", f"NOT REACHED in {arguments.minutes:g} minutes"))
            failed = True
            continue
        found: list[tuple[str, str]] = []
        try:
            if name == _UTILISATION:
                tables.append(utilisation(setup))
            else:
                for row in CHECKS[name](setup):
                    found.append(row)
        except BROKEN as error:  # one broken kernel must not hide what the other checks find
            found.append(("", f"FAILED: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"))
            failed = True
        rows += [(name, what, said) for what, said in found]
        rows.append((name, "all of it", f"{time.perf_counter() - began:.0f} s"))
        print(f"gpu-check: {name}: {rows[-1][2]}", file=sys.stderr, flush=True)
        free_memory()
    return rows, failed, tables


def utilisation(setup: Setup) -> str:
    """Seconds and shares of a large matrix product of L and XL, compiled."""
    arguments = argparse.Namespace(
        sizes=["tiny"] if setup.tiny else ["L", "XL"], batches=[1] if setup.tiny else [16, 32], rounds=5,
        eager=setup.tiny, device=setup.device, layers_of_3b=1,
    )  # fmt: skip
    return transformer_gpu.utilisation(arguments)


def page(arguments: argparse.Namespace, rows: list[Row], tables: list[str]) -> str:
    """The page, as Markdown."""
    said = "in small, which shows only that it runs" if arguments.tiny else "`make gpu-check`"
    cells = [[name, what, found.replace("|", "/")] for name, what, found in rows]
    parts = [
        "# On a GPU",
        f"{machine(arguments.device)}; {said}. Times are the shortest of three runs after one without a clock.",
        markdown_table(["check", "what", "found"], cells),
        f"Utilisation (goal: {GOAL:.0%} of a large matrix product), forward and backward, unconditional, bf16:",
        *tables,
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
