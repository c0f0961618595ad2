"""``walt convert-text-encoder``: a T5 with pickled weights as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.errors import ConfigurationError
from walt.core.log import info


def command(
    folder: Annotated[Path, typer.Argument(help="A folder with config.json and pytorch_model.bin, or parts of it.")],
) -> None:
    """Make safetensors of a T5's pickled weights, which are read as tensors and nothing else.

    Every tensor is compared with what was read, bit by bit. The pickles stay; nothing of ours reads them.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: no such folder")
    from walt.text.pickled_weights import convert  # imports torch, which --help does not need

    info(f"{folder}: reading the pickled weights with torch.load(weights_only=True), which runs no code")
    for name, count in convert(folder).items():
        info(f"{folder / name}: {count} tensors, equal to those that were read, bit by bit")
    info("The pickled files stay where they are; they are not needed any more.")
