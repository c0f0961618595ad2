"""Numbers with their bootstrap intervals. Resamples are functions of the number of items, and so pair two models.

Items are given in the order of their clips or videos, the same one for each model; the value itself does not depend on
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr, softmax
from scipy.stats import binomtest

from walt.core.figures import CONFIDENCE, Figure, half_width
from walt.evaluation.frechet import (
    Chosen,
    Features,
    Statistics,
    distance_of,
    distance_to_statistics,
    frechet_distance,
    in_order,
)
from walt.evaluation.kernels import Kernel, discrepancies

RESAMPLES = 200
FEWER_RESAMPLES = 50
"""Of a Frechet distance of more than ``_LARGE`` clips and features; they give the deviation to 10 %, not to 5 %."""
_LARGE = 1000


def mean_figure(values: Sequence[float], conditions: Mapping[str, str], keep: bool = True) -> Figure:
    """The mean of the items' values, one item or more; the interval of a single item is infinite.

    Args:
        keep: whether the replicates are kept, for a comparison.
    """
    array = np.asarray(values, dtype=np.float64)
    value = float(np.sort(array).mean())
    if len(array) == 1:
        return Figure(value, -np.inf, np.inf, 1, (), conditions)
    replicates = [float(array[chosen].mean()) for chosen in resamples(len(array))]
    reach = half_width(replicates, len(array))
    return Figure(value, value - reach, value + reach, len(array), tuple(replicates) if keep else (), conditions)


def share_figure(matches: Sequence[bool], conditions: Mapping[str, str]) -> Figure:
    """The share of items that match, with Wilson's interval (1927): where all or none match, all resamples are alike,
    and a bootstrap interval would claim that there is no doubt."""
    figure = mean_figure([float(match) for match in matches], conditions)
    interval = binomtest(sum(matches), len(matches)).proportion_ci(CONFIDENCE, method="wilson")
    return Figure(figure.value, float(interval.low), float(interval.high), len(matches), figure.replicates, conditions)


def frechet_figure(real: Features, generated: Features, conditions: Mapping[str, str]) -> Figure:
    """The Frechet distance of two sets of features, two clips or more each, both sets resampled."""
    count = _distances(generated)
    drawn = zip(resamples(len(real), stream=1)[:count], resamples(len(generated), stream=0)[:count], strict=True)
    replicates = [distance_of(real, generated, *map(Chosen.resampled, chosen)) for chosen in drawn]
    value, items = frechet_distance(real, generated), min(len(real), len(generated))
    reach = half_width(replicates, items)
    return Figure(value, max(value - reach, 0.0), value + reach, items, tuple(replicates), conditions)


def frechet_to_statistics_figure(statistics: Statistics, generated: Features, conditions: Mapping[str, str]) -> Figure:
    """The Frechet distance to a mean and a covariance, which stay as they are; two clips or more are resampled."""
    value = distance_to_statistics(statistics, generated, Chosen.all_of(generated))
    replicates = [
        distance_to_statistics(statistics, generated, Chosen.resampled(chosen))
        for chosen in resamples(len(generated))[: _distances(generated)]
    ]
    reach = half_width(replicates, len(generated))
    return Figure(value, max(value - reach, 0.0), value + reach, len(generated), tuple(replicates), conditions)


def _distances(features: Features) -> int:
    """Resamples of a Frechet distance: fewer where each costs the eigenvalues of a large matrix."""
    return FEWER_RESAMPLES if min(features.shape) > _LARGE else RESAMPLES


def kernel_figure(kernel: Kernel, real: Features, generated: Features, conditions: Mapping[str, str]) -> Figure:
    """The discrepancy of two sets of features by a kernel, ``kernel.fewest`` clips or more each, both resampled."""
    none = np.empty((0, 0), dtype=np.int64)
    value, _ = discrepancies(kernel, in_order(real), in_order(generated), none, none)
    chosen = resamples(len(real), stream=1), resamples(len(generated), stream=0)
    _, replicates = discrepancies(kernel, real, generated, *chosen)
    items = min(len(real), len(generated))
    reach = half_width(replicates.tolist(), items) if items > 1 else np.inf
    return Figure(value, value - reach, value + reach, items, tuple(replicates.tolist()), conditions)


def inception_score_figure(logits: Features, conditions: Mapping[str, str]) -> Figure:
    """The inception score of all items at once, exp E KL(p(class | item) | p(class)): 1 to the number of classes.

    Salimans et al. (arXiv 1606.03498). Not split into parts: torchmetrics' with ``splits=1``.

    Args:
        logits: (N, classes), N of 2 or more; logarithms of probabilities will do.
    """
    of_items = softmax(logits, axis=1)
    value = _inception_score(softmax(in_order(logits), axis=1))
    replicates = [_inception_score(of_items[chosen]) for chosen in resamples(len(logits))]
    reach = half_width(replicates, len(logits))
    return Figure(value, max(value - reach, 1.0), value + reach, len(logits), tuple(replicates), conditions)


def _inception_score(probabilities: Features) -> float:
    divergences = rel_entr(probabilities, probabilities.mean(axis=0)).sum(axis=1)
    return float(np.exp(divergences.mean()))


def resamples(items: int, stream: int = 0) -> NDArray[np.int64]:
    """(RESAMPLES, items) numbers of items, drawn with replacement: always the same for the same arguments.

    Args:
        stream: sets that are resampled independently of each other have different ones.
    """
    numbers = np.random.RandomState([stream, items])  # the legacy generator: the same numbers in every version
    return np.asarray(numbers.randint(0, items, size=(RESAMPLES, items), dtype=np.int64))
