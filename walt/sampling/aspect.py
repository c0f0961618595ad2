"""Videos of another shape than the models were trained on: other latent grids, with the windows scaled.

Position tables are interpolated (``walt.transformer.initial_weights``). Without the finetuning of the paper's Table 6
the models have never seen such a grid, so the more the shape differs, the worse the videos.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from walt.core.errors import ConfigurationError
from walt.nn.positions import token_grid
from walt.sampling.prompt_to_video import Pipeline
from walt.transformer.config import TransformerConfig
from walt.transformer.initial_weights import at_aspect
from walt.transformer.model import WaltTransformer

_TOLERANCE = Fraction(1, 10)  # of the ratio: a grid is a whole number of windows, so 16:9 becomes 7:4
_LONGEST = 4  # longer side, in shorter ones

Stretch = tuple[Fraction, Fraction]
"""New height and width, in old ones."""


def parse_aspect(text: str) -> Fraction:
    """``9:16`` -> 9/16: width, then height. Raises ConfigurationError."""
    match = re.fullmatch(r"([1-9]\d{0,3}):([1-9]\d{0,3})", text)
    if match is None:
        raise ConfigurationError(f"--aspect: '{text}' is not width:height, such as 9:16")
    return Fraction(int(match[1]), int(match[2]))


def possible_aspects(trained: list[TransformerConfig]) -> list[str]:
    """The shapes that ``with_aspect`` makes of models of these configurations: ``1:1``, ``7:4``; the trained one first,
    then from narrow to wide."""
    height, width = trained[0].resolution
    own = Fraction(width, height)
    found = {*_possible(trained, landscape=True), *_possible(trained, landscape=False)}
    return [_name(own), *(_name(shape) for shape in sorted(found - {own}))]


def with_aspect(pipeline: Pipeline, aspect: Fraction) -> Pipeline:
    """The same models at the grid that is nearest to ``aspect`` (width / height).

    The shorter side keeps its length, as in the paper (5x16x16 became 5x16x28), and the longer one grows.

    Raises:
        ConfigurationError: no grid comes near it with whole windows; the message names the shapes that are possible.
    """
    models = [pipeline.base, *pipeline.super_resolutions]
    possible = _possible([model.config for model in models], landscape=aspect >= 1)
    nearest = min(possible, key=lambda shape: abs(shape / aspect - 1))
    if abs(nearest / aspect - 1) > _TOLERANCE:
        shapes = ", ".join(_name(shape) for shape in sorted(possible))
        windows = " and ".join(
            f"{list(config.spatiotemporal_window)} of {list(token_grid(config.latent_grid, config.patch_size))}"
            for config in (model.config for model in models)
        )
        raise ConfigurationError(
            f"--aspect: no shape near {_name(aspect)} keeps the windows whole (spatiotemporal_window {windows}); "
            f"possible are {shapes}"
        )
    base, *others = (_resized(model, config) for model, config in zip(models, possible[nearest], strict=True))
    return replace(pipeline, base=base, super_resolutions=tuple(others))


def _possible(trained: list[TransformerConfig], landscape: bool) -> dict[Fraction, list[TransformerConfig]]:
    """Width / height -> the models' configurations, for all grids whose windows are whole."""
    _, height, width = trained[0].latent_grid
    short = min(height, width)
    found = {}
    for long in range(short, _LONGEST * short + 1):
        new_height, new_width = (short, long) if landscape else (long, short)
        stretch = (Fraction(new_height, height), Fraction(new_width, width))
        configs = [scaled for config in trained if (scaled := _scaled(config, stretch)) is not None]
        if len(configs) == len(trained):
            found[Fraction(new_width, new_height)] = configs
    return found


def _scaled(config: TransformerConfig, stretch: Stretch) -> TransformerConfig | None:
    """The configuration with grid, windows and resolution stretched; None where one of them would not be a whole
    number."""
    changed = {}
    for key in ("resolution", "latent_grid", "spatial_window", "spatiotemporal_window"):
        *frames, height, width = getattr(config, key)
        sides = (height * stretch[0], width * stretch[1])
        if any(side.denominator != 1 for side in sides):
            return None
        changed[key] = (*frames, *(int(side) for side in sides))
    if any(side % config.patch_size for side in changed["latent_grid"][1:]):
        return None
    return config.model_copy(update=changed)


def _resized(model: WaltTransformer, config: TransformerConfig) -> WaltTransformer:
    if config == model.config:
        return model
    device = next(model.parameters()).device
    resized = WaltTransformer(config)
    resized.load_state_dict(at_aspect(model.state_dict(), model.config, config))
    return resized.to(device).eval()


def _name(shape: Fraction) -> str:
    return f"{shape.numerator}:{shape.denominator}"
