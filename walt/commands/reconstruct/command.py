"""The options of ``walt reconstruct``; the work is in ``files.py``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from walt.core.errors import ConfigurationError
from walt.core.paths import Paths, located
from walt.project.not_made_yet import not_made_yet
from walt.project.runner import load_params
from walt.tracking.addresses import is_registered, not_found, parse_address


class Precision(StrEnum):
    """Of arithmetic, as in ``sample.precision``."""

    fp32 = "fp32"
    bf16 = "bf16"


def command(
    files: Annotated[list[Path], typer.Argument(help="Videos of any length, and images.")],
    autoencoder: Annotated[
        str | None,
        typer.Option(help="Its folder, or walt-autoencoder@ALIAS or autoencoder/3; by default models/autoencoder."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the videos.")] = Path("results/reconstructions"),
    fps: Annotated[float | None, typer.Option(help="Frames per second; by default the file's own.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="By default the file's own, at most 512 pixels per side.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds to read from the start of each file.")] = None,
    perceptual: Annotated[
        Path | None, typer.Option(help="Folder of an image classifier: adds the distance of its logits.")
    ] = None,
    i3d: Annotated[Path | None, typer.Option(help="TorchScript file of the I3D network: adds the FVD.")] = None,
    i3d_sha256: Annotated[str | None, typer.Option("--i3d-sha256", help="Its SHA-256, in hex.")] = None,
    precision: Annotated[Precision, typer.Option(help="Of the autoencoder's arithmetic.")] = Precision.fp32,
    megapixels_at_once: Annotated[
        float | None,
        typer.Option(help="Pixels of all frames that are computed at once, in millions; by default 0.26. For memory."),
    ] = None,
) -> None:
    """Put files through the autoencoder and back: both side by side as mp4, and PSNR, SSIM and compression."""
    # imports torch, which --help does not need
    from walt.commands.reconstruct.files import Request, parse_size, run
    from walt.evaluation.reconstruction import MEGAPIXELS_AT_ONCE

    folder = _autoencoder(Path.cwd(), autoencoder)
    wanted = None if size is None else parse_size(size)
    megapixels = MEGAPIXELS_AT_ONCE if megapixels_at_once is None else megapixels_at_once
    run(Request(files, folder, out, fps, wanted, seconds, perceptual, i3d, i3d_sha256, precision.value, megapixels))


def _autoencoder(root: Path, given: str | None) -> Path:
    """The folder of the autoencoder that is named; a version of the registry is fetched into ``work/models``."""
    if given is None:
        if advice := not_made_yet(("autoencoder",), Paths(root)):
            raise ConfigurationError(f"there is no autoencoder here yet: {advice}; --autoencoder takes another one")
        return Paths(root).autoencoder
    folder = located(root, given)
    if folder.is_dir() and not is_registered(given):
        return folder
    tracking = load_params(root).tracking
    address = parse_address(given, tracking.model_prefix)
    if address is None or not address.is_of_a_version:
        raise ConfigurationError(not_found(given, tracking.model_prefix, "autoencoder"))
    from walt.tracking.given_models import present_version  # MLflow takes seconds to import

    return present_version(tracking, root, str(address), Paths(root).work("models"))
