"""The names of an evaluation's figures, which only this file spells out.

``walt.stages.evaluate`` makes them under these names, ``walt.project.params`` knows from ``metric_names`` which of them
a promotion may ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from walt.evaluation.config import EvaluateConfig, NetworkName
from walt.evaluation.protocol import Metric, measures_of

_FRECHET_DISTANCES = {"i3d": "fvd", "inception": "fid"}
"""By network: what is known by a name of its own."""
ADHERENCE = ("colour", "shape", "direction", "both", "all")
"""The parts of a prompt that a video is checked for."""
_BAND = "/band_"


def adherence(what: str, base: bool = False) -> str:
    """Share of the videos that show it (one of ``ADHERENCE``): final videos, or the base model's in a cascade."""
    return f"adherence/base/{what}" if base else f"adherence/{what}"


def held_out_loss(model: str, band: int | None = None) -> str:
    """Loss of a transformer (``base``, ``sr_2x`` ...) on held-out clips; in a band of diffusion steps, from 0."""
    return f"held_out_loss/{model}" if band is None else f"held_out_loss/{model}{_BAND}{band:02d}"


def of_network(metric: Metric, network: str) -> str:
    """A metric of the protocol's, of a network's features: ``fvd``, ``fid`` or ``frechet_distance/random_network``."""
    known = _FRECHET_DISTANCES.get(network) if metric == "frechet_distance" else None
    return known or f"{metric}/{network}"


def of_reconstructions(network: str, kind: str, size: str) -> str:
    """The Frechet distance of held-out clips and what an autoencoder makes of them, by a network: ``rfvd/video/32x32``,
    ``rfid/image/32x32``, ``reconstruction_frechet_distance/random_network/video/32x32``.

    Args:
        kind: ``video`` or ``image``.
    """
    known = _FRECHET_DISTANCES.get(network)
    return f"{f'r{known}' if known else f'reconstruction_frechet_distance/{network}'}/{kind}/{size}"


def frechet_network(config: EvaluateConfig) -> NetworkName:
    """The network of the first Frechet distance that a configuration gives. Raises ConfigurationError for an unknown
    protocol."""
    return next(measure.network for measure in measures_of(config) if "frechet_distance" in measure.metrics)


def frechet_metric(config: EvaluateConfig) -> str:
    """The first Frechet distance that a configuration gives. Raises as ``frechet_network``."""
    return of_network("frechet_distance", frechet_network(config))


def is_of_a_band(name: str) -> bool:
    """Whether a metric is the loss in a band: too many for a table."""
    return _BAND in name


def is_of_a_check(name: str) -> bool:
    """Whether a metric is of the check of prompts, which only generated datasets have."""
    return name.startswith("adherence/")


def is_a_share(name: str) -> bool:
    """Whether a metric is a share of the videos, from 0 to 1."""
    return is_of_a_check(name) or name.startswith(("precision/", "recall/"))


def better(name: str) -> Literal["higher", "lower"]:
    """Which of two values of a metric is the better one: shares, scores, similarities and PSNR rise, others fall."""
    rising = ("inception_score/", "text_similarity/", "psnr/")
    return "higher" if is_a_share(name) or name.startswith(rising) else "lower"


def metric_names(config: EvaluateConfig, models: Sequence[str], cascade: bool) -> list[str]:
    """The metrics that a configuration can give, for transformers of those names.

    A dataset without held-out videos or without an adherence check gives fewer.

    Args:
        cascade: whether a super-resolution model follows the base model.
    """
    shares = [adherence(what, base) for base in ([False, True] if cascade else [False]) for what in ADHERENCE]
    losses = [held_out_loss(model) for model in models]
    bands = [held_out_loss(model, band) for model in models for band in range(config.timestep_bands)]
    of_sets = [of_network(metric, measure.network) for measure in measures_of(config) for metric in measure.metrics]
    return [*shares, *of_sets, *losses, *bands]
