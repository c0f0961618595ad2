"""Numbers with their bootstrap intervals. Resamples are functions of the number of items, and so pair two models.

Items are given in the order of their clips or videos, the same one for each model; the value itself does not depend on
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev

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


def mean_figure(
    values: Sequence[float], conditions: Mapping[str, str], keep: bool = True, least: float = -np.inf
) -> Figure:
    """The mean of the items' values, one item or more; the interval of a single item is infinite.

    Args:
        keep: whether the replicates are kept, for a comparison.
        least: what no mean can be below, 0 for a loss; the interval ends there, which of few items it would pass.
    """
    array = np.asarray(values, dtype=np.float64)
    value = float(np.sort(array).mean())
    if len(array) == 1:
        return Figure(value, -np.inf, np.inf, 1, (), conditions)
    replicates = [float(array[chosen].mean()) for chosen in resamples(len(array))]
    reach = half_width(replicates, len(array))
    low, kept = max(value - reach, least), tuple(replicates) if keep else ()
    return Figure(value, low, value + reach, len(array), kept, conditions)


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


def inception_score_figure(logits: Features, conditions: Mapping[str, str], splits: int = 1) -> Figure:
    """The inception score, exp E KL(p(class | item) | p(class)): 1 to the number of classes, or of a split's items.

    Salimans et al. (arXiv 1606.03498), who split the items, in their order, into parts of one size and give the mean of
    the parts' scores and its deviation (numpy's, which divides by the number of parts). A score of a part is smaller
    than one of all.

    Args:
        logits: (N, classes), N of 2 or more; logarithms of probabilities will do.
        splits: parts; where there are fewer than two items for each, fewer parts are made.
    """
    splits = min(splits, len(logits) // 2)
    # of one part the value does not depend on the order
    of_items, ordered = softmax(logits, axis=1), softmax(in_order(logits) if splits == 1 else logits, axis=1)
    scores = _inception_scores(ordered, splits)
    replicates = [float(_inception_scores(of_items[chosen], splits).mean()) for chosen in resamples(len(logits))]
    value, reach = float(scores.mean()), half_width(replicates, len(logits))
    figure = Figure(value, max(value - reach, 1.0), value + reach, len(logits), tuple(replicates), conditions)
    return figure if splits == 1 else replace(figure, deviation=float(scores.std()), parts=f"{splits} splits")


def over_seeds(figures: Sequence[Figure]) -> Figure:
    """The mean of the same figure of several sets of samples, one for each seed, with its deviation over them.

    The interval's ends are the means of theirs: it says how the number of one set would move, and does not shrink with
    the number of seeds. Resample number i of the mean is that of each set, which have the same prompts.
    """
    if len(figures) == 1:
        return figures[0]
    value, low, high = (fmean(getattr(figure, name) for figure in figures) for name in ("value", "low", "high"))
    replicates = tuple(fmean(of_sets) for of_sets in zip(*(figure.replicates for figure in figures), strict=True))
    return replace(
        figures[0], value=value, low=low, high=high, items=min(figure.items for figure in figures),
        replicates=replicates, deviation=stdev(figure.value for figure in figures), parts=f"{len(figures)} seeds",
    )  # fmt: skip


def _inception_scores(probabilities: Features, splits: int) -> Features:
    """Of each part: (splits,)."""
    bounds = [len(probabilities) * place // splits for place in range(splits + 1)]
    parts = [probabilities[start:end] for start, end in pairwise(bounds)]
    return np.array([np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()) for part in parts])


def resamples(items: int, stream: int = 0) -> NDArray[np.int64]:
    """(RESAMPLES, items) numbers of items, drawn with replacement: always the same for the same arguments.

    Args:
        stream: sets that are resampled independently of each other have different ones.
    """
    numbers = np.random.RandomState([stream, items])  # the legacy generator: the same numbers in every version
    return np.asarray(numbers.randint(0, items, size=(RESAMPLES, items), dtype=np.int64))
