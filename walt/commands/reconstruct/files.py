"""``walt reconstruct``: files through the autoencoder and back, side by side as MP4, and how much of them is lost.

Not a stage of the pipeline: it reads any files and a finished autoencoder. Each file is decoded, encoded, decoded by
the model and written chunk by chunk, so it may be of any length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from walt.autoencoder.io import load_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.perceptual import PerceptualNetwork
from walt.core.errors import ConfigurationError, RejectLimitError
from walt.core.figures import significant
from walt.core.log import ProgressBar, console, info, warning
from walt.core.printable import printable
from walt.core.sizes import Size, size_folder
from walt.evaluation.reconstruction import (
    FRECHET_FRAMES,
    MEGAPIXELS_AT_ONCE,
    SSIM_WINDOW,
    FrechetWindows,
    Quality,
    QualityMeter,
    compression,
    reconstruct_stream,
)
from walt.evaluation.running_frechet import RunningFrechetDistance
from walt.evaluation.torchscript_networks import I3DFeatures
from walt.media.images import Limits, Picture, SourceError, crop_and_resize
from walt.media.kinds import kind_in_file, kind_of
from walt.media.playable import write_playable
from walt.media.stills import read_picture
from walt.media.video import iterate_frames, probe
from walt.nn.device import select_device
from walt.nn.pretrained import weights_digest
from walt.sampling.output import to_frames

LONGEST_SIDE = 512
"""Pixels; a larger file is made smaller where no size is given. The paper's first level, 128 channels, then makes
tensors of 0.7 GB at most: five frames of 512x512."""
_MOST_FPS = 1000.0
_LIMITS = Limits(min_side=1, max_pixels=7680 * 4320, max_seconds=math.inf)


@dataclass(frozen=True)
class Request:
    """The arguments of ``walt reconstruct``."""

    files: Sequence[Path]
    autoencoder: Path
    out: Path
    fps: float | None = None
    """None: the file's own, at which none of its frames is left out."""
    size: Size | None = None
    """(height, width); None: the file's own, upright, at most ``LONGEST_SIDE``, cropped to multiples of f_s."""
    seconds: float | None = None
    """Seconds to read from the start of each file."""
    perceptual: Path | None = None
    i3d: Path | None = None
    i3d_sha256: str | None = None
    precision: str = "fp32"
    """Of the autoencoder's arithmetic: ``fp32`` or ``bf16``."""
    megapixels_at_once: float = MEGAPIXELS_AT_ONCE
    """Pixels of all frames that are computed at once, in millions."""


@dataclass(frozen=True)
class Reconstruction:
    """A file that was reconstructed."""

    file: Path
    video: Path
    """The original on the left, the reconstruction on the right."""
    size: Size
    quality: Quality
    compression: float


@dataclass(frozen=True)
class Models:
    """What reconstructs and what measures."""

    autoencoder: CausalAutoencoder
    digest: str
    perceptual: PerceptualNetwork | None
    device: str


def parse_size(text: str) -> Size:
    """``128x96`` -> (128, 96): height, then width. Raises ConfigurationError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise ConfigurationError(f"--size: '{text}' is not height x width in pixels, such as 128x96")
    return int(match[1]), int(match[2])


def run(request: Request) -> list[Reconstruction]:
    """Reconstruct all files, print the table, return its rows.

    Raises:
        ConfigurationError, StorageError, CorruptArtifactError: an argument or a model is wrong; before any work.
        RejectLimitError: some files could not be used; the others are done and shown.
    """
    targets = _targets(request)
    models, distance = _load(request)
    rows: list[Reconstruction] = []
    for file, target in zip(request.files, targets, strict=True):
        windows = None if distance is None else FrechetWindows(distance.copy())
        try:
            rows.append(_reconstruct(request, models, file, target, windows))
        except SourceError as error:
            warning(f"{printable(str(file))}: {error.code}: {error.cause}")
            continue
        if windows is not None:
            distance = windows.distance  # only now: a file that failed half-way leaves nothing behind
    if rows:
        console.print(_table(rows, request))
        info(f"originals and reconstructions side by side: {printable(str(request.out))}")
    if distance is not None:
        info(_frechet_line(distance))
    if refused := len(request.files) - len(rows):
        raise RejectLimitError(f"{refused} of {len(request.files)} files could not be used; see above")
    return rows


def _targets(request: Request) -> list[Path]:
    """Where each file's video goes, by its name; files of one name are numbered."""
    numbers = {
        "--fps": request.fps, "--seconds": request.seconds, "--megapixels-at-once": request.megapixels_at_once,
    }  # fmt: skip
    for name, value in numbers.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigurationError(f"{name}: {value} is not a number above 0")
    if request.fps is not None and request.fps > _MOST_FPS:
        raise ConfigurationError(f"--fps: {request.fps} is more than {_MOST_FPS:g}, and frames would be repeated")
    sources = {file.resolve() for file in request.files}
    targets: list[Path] = []
    for file in request.files:
        if not file.is_file():
            raise ConfigurationError(f"no file '{printable(str(file))}'")
        target, number = request.out / f"{file.stem}.mp4", 2
        while target in targets:
            target, number = request.out / f"{file.stem}-{number}.mp4", number + 1
        if target.resolve() in sources:
            raise ConfigurationError(f"--out: '{printable(str(target))}' is one of the files; choose another folder")
        targets.append(target)
    return targets


def _load(request: Request) -> tuple[Models, RunningFrechetDistance | None]:
    """Check everything that can be wrong with the arguments."""
    if (request.i3d is None) != (request.i3d_sha256 is None):
        raise ConfigurationError("--i3d and --i3d-sha256 belong together")
    device = select_device("auto")
    autoencoder, _ = load_autoencoder(request.autoencoder, device)
    factor = autoencoder.config.spatial_factor
    if request.size is not None and (any(side % factor for side in request.size) or min(request.size) < SSIM_WINDOW):
        raise ConfigurationError(
            f"--size: {size_folder(request.size)}: sides must be multiples of {factor}, {SSIM_WINDOW} at least"
        )
    perceptual = None
    if request.perceptual is not None:
        perceptual = PerceptualNetwork(request.perceptual, "--perceptual").to(device)
        if request.size is not None:
            perceptual.check_sizes([request.size])
    distance = None
    if request.i3d is not None and request.i3d_sha256 is not None:
        extractor = I3DFeatures(request.i3d, request.i3d_sha256, ("--i3d", "--i3d-sha256")).to(device)
        distance = RunningFrechetDistance(extractor)
    return Models(autoencoder, weights_digest(request.autoencoder), perceptual, device), distance


def _reconstruct(
    request: Request, models: Models, file: Path, target: Path, windows: FrechetWindows | None
) -> Reconstruction:
    """One file. Raises SourceError; then no video is left."""
    fps, expected = _rate(file, request)
    meter = QualityMeter(models.perceptual, models.device)
    shape: list[Size] = []

    def side_by_side(bar: ProgressBar) -> Iterator[Picture]:
        pictures = _readable(_pictures(file, fps, request, models.autoencoder.config.spatial_factor))
        for original, reconstruction in reconstruct_stream(
            models.autoencoder, pictures, request.megapixels_at_once, request.precision
        ):
            if not shape:
                shape.append((original.shape[3], original.shape[4]))
                if models.perceptual is not None:
                    models.perceptual.check_sizes(shape)
            meter.update(original, reconstruction)
            if windows is not None:
                windows.update(original, reconstruction)
            yield from np.concatenate([to_frames(original[0]), to_frames(reconstruction[0])], axis=2)
            bar.advance(original.shape[2])
        bar.total = bar.completed  # it was an estimate

    metadata = {
        "source": printable(file.name), "left": "original", "right": "reconstruction",
        "autoencoder_sha256": models.digest, "precision": request.precision,
    }  # fmt: skip
    with ProgressBar(printable(file.name), total=expected, unit="frames") as bar:
        write_playable(target, side_by_side(bar), fps, metadata)
    quality = meter.result()
    ratio = compression(models.autoencoder.config, quality.num_frames, shape[0])
    return Reconstruction(file, target, shape[0], quality, ratio)


def _rate(file: Path, request: Request) -> tuple[Fraction, int]:
    """(frames per second, how many frames are expected). An image lasts a second."""
    if kind_in_file(file, kind_of(str(file))) == "image":
        return Fraction(1), 1
    try:
        header = probe(file)
    except OSError as error:
        raise SourceError("unreadable", str(error.strerror)) from None
    if request.fps is None and not header.constant_fps:
        raise SourceError("no_rate", "it does not state a frame rate; give --fps")
    fps = Fraction(str(request.fps)) if request.fps is not None else Fraction(header.constant_fps or 0)
    seconds = header.seconds or 0.0
    return fps, max(1, round(min(seconds, request.seconds or seconds) * fps))


def _pictures(file: Path, fps: Fraction, request: Request, factor: int) -> Iterator[Picture]:
    """The file's pictures in the wanted size; of an image, one."""

    def fit(upright: Size) -> Size:
        if request.size is not None:
            return request.size
        shrunk = min(1.0, LONGEST_SIDE / max(upright))
        size = (round(upright[0] * shrunk), round(upright[1] * shrunk))
        if min(side // factor * factor for side in size) < SSIM_WINDOW:
            raise SourceError("too_small", f"{size[1]}x{size[0]} pixels; give --size")
        return size

    if kind_in_file(file, kind_of(str(file))) == "image":
        picture = read_picture(file, _LIMITS)
        size = fit((picture.shape[0], picture.shape[1]))
        yield _crop(crop_and_resize(picture, [size])[size], factor)
        return
    seconds = math.inf if request.seconds is None else request.seconds
    for picture in iterate_frames(file, fps=fps, fit=fit, limits=_LIMITS, max_seconds=seconds):
        yield _crop(picture, factor)


def _crop(picture: Picture, factor: int) -> Picture:
    """The centre whose sides are multiples of ``factor``."""
    height, width = (side // factor * factor for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]


def _readable(pictures: Iterator[Picture]) -> Iterator[Picture]:
    """The same pictures; a file that cannot be read counts as a bad file, not as a failure of the writer."""
    try:
        yield from pictures
    except OSError as error:
        raise SourceError("unreadable", str(error.strerror)) from None


def _table(rows: list[Reconstruction], request: Request) -> Table:
    table = Table(box=None, title_justify="left")
    names = ["file", "size", "frames", "PSNR (dB)", "SSIM", "compression"]
    if request.perceptual is not None:
        names.append(f"perceptual distance (logits of {escape(printable(request.perceptual.resolve().name))})")
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        cells = [
            escape(printable(row.file.name)), size_folder(row.size), str(row.quality.num_frames),
            f"{row.quality.psnr:.2f}", f"{row.quality.ssim:.4f}", f"{row.compression:.1f}",
        ]  # fmt: skip
        if row.quality.perceptual is not None:
            cells.append(significant(row.quality.perceptual, 4))
        table.add_row(*cells)
    return table


def _frechet_line(distance: RunningFrechetDistance) -> str:
    clips, features = distance.num_clips, distance.extractor.num_features
    if clips < 2:
        return f"reconstruction FVD: left out, as it needs two clips of {FRECHET_FRAMES} frames, and there are {clips}"
    remark = f"; too few for {features} features: the covariance is rank-deficient" if clips <= features else ""
    return (
        f"reconstruction FVD: {significant(distance.compute(), 4)} ({clips} clips of {FRECHET_FRAMES} frames{remark})"
    )
