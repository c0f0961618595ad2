"""The options of ``walt verify``; the work is in ``everything.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    clips: Annotated[int, typer.Option(min=0, help="Clips whose latents are decoded for the page; 0: no page.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Which clips are drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("results"),
) -> None:
    """Hash everything that was made again, check each latent and text, and show what the models are given."""
    from walt.commands.verify.everything import Request, run  # imports torch, which --help does not need

    run(Request(clips, seed, out), Path.cwd())
