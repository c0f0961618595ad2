"""Make constraints.txt again from pyproject.toml: one version of everything, for all supported Pythons and platforms.

Run it as ``make lock``; arguments are handed to ``uv pip compile``. CUDA's packages are left out: torch pins them
itself, and a processor-only torch needs none.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# Every version that `make install` may take; CUDA's packages follow torch's own pins. Made by `make lock`.\n"
LEFT_OUT = re.compile(r"(nvidia|triton|cuda)-?")


def main() -> None:
    """Compile, drop what torch pins, write."""
    command = [
        str(Path(sys.executable).parent / "uv"),
        "pip",
        "compile",
        "pyproject.toml",
        "--all-extras",
        "--universal",
        "--python-version",
        "3.11",
    ]
    command += ["--no-header", "--no-annotate", "--prerelease", "if-necessary", "--upgrade", *sys.argv[1:]]
    compiled = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = [line for line in compiled.splitlines() if not LEFT_OUT.match(line) and not line.startswith("torch==")]
    torch = {re.split(r"[=+;\s]+", line)[1] for line in compiled.splitlines() if line.startswith("torch==")}
    if len(torch) != 1:
        raise SystemExit(f"torch resolved to {sorted(torch)}; narrow it in pyproject.toml")
    (ROOT / "constraints.txt").write_text(
        HEADER + "\n".join([*lines, f"torch=={torch.pop()}"]) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
