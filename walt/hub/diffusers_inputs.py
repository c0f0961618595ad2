"""What is checked and made of a call of an exported pipeline (``walt.hub.diffusers_models``); it travels with that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from walt.data.clip_pixels import pixels
from walt.media.images import Picture
from walt.media.stills import upright_picture
from walt.sampling.beginnings import beginning_of, fitted
from walt.sampling.long_video import check_continuation
from walt.sampling.output import to_frames
from walt.sampling.prompt_to_video import Beginning, Pipeline


def check_precision(models: Mapping[str, nn.Module]) -> None:
    """Raise ValueError for weights that are not float32: where less is wanted, the arithmetic alone has less."""
    for name, model in models.items():
        for parameter in model.parameters():
            if parameter.dtype != torch.float32:
                raise ValueError(f"{name}: its weights are {parameter.dtype}, not float32; load it without a dtype")


def as_output(video: Tensor, output_type: str) -> Any:
    """(3, T, H, W) in [-1, 1] as ``WaltOutput`` has it."""
    if output_type == "pt":
        return video
    pictures = to_frames(video)
    return pictures if output_type == "np" else [Image.fromarray(picture) for picture in pictures]


def check_names(output_type: str, guidance_schedule: str | None) -> None:
    """Raise ValueError for names that are none of those that are known."""
    if output_type not in ("pil", "np", "pt"):
        raise ValueError(f"output_type: '{output_type}' is not pil, np or pt")
    if guidance_schedule not in (None, "constant", "power_cosine"):
        raise ValueError(f"guidance_schedule: '{guidance_schedule}' is not constant or power_cosine")


def check_numbers(**numbers: float | None) -> None:
    """Raise ValueError for one that is not above 0."""
    for name, number in numbers.items():
        if number is not None and not 0 < number < float("inf"):
            raise ValueError(f"{name}: {number} is not a number above 0")


def start_of(pipeline: Pipeline, cascade: bool, image: Any, video: Any) -> tuple[list[Tensor], Beginning | None]:
    """The frames of a video that is continued, (1, 3, T, H, W) in [-1, 1], if there is one; what the models are given.

    Raises:
        ConfigurationError: the models cannot begin with frames. ValueError: these are none, or too few.
    """
    if image is not None and video is not None:
        raise ValueError("image and video both say how the video begins; give one")
    sizes = pipeline.resolutions(cascade)
    if image is not None:
        pipeline.check_beginning()
        return [], beginning_of(picture_of(image, "image")[None], sizes)
    if video is None:
        return [], None
    check_continuation(pipeline, cascade)
    if len(video) < pipeline.overlap:
        raise ValueError(f"video: {len(video)} frames, but {pipeline.overlap} are needed")
    frames = np.stack([fitted(picture_of(one, "video")[None], sizes[-1])[0] for one in video])
    return [pixels([frames])], beginning_of(frames[-pipeline.overlap :], sizes)


def picture_of(given: Any, name: str) -> Picture:
    """(H, W, 3) uint8 of what a caller gives as one picture. Raises ValueError."""
    if isinstance(given, Image.Image):
        return upright_picture(given)
    array = np.asarray(given)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3:
        shape = " x ".join(map(str, array.shape))
        raise ValueError(f"{name}: {array.dtype} of {shape}; a frame is a picture of PIL, or uint8 (H, W, 3)")
    return array
