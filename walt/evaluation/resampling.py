"""Numbers with their bootstrap intervals, whose draws (``walt.evaluation.draws``) pair two models.

Items are given in the order of their clips or videos, the same one for each model; the value itself does not depend on
it. ``groups`` say which of them are drawn together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev

import numpy as np
from scipy.special import ndtri, rel_entr, softmax, stdtrit

from walt.core.figures import CONFIDENCE, Figure, half_width
from walt.evaluation.draws import RESAMPLES, Groups, draws, independent
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

FEWER_RESAMPLES = 50
"""Of a Frechet distance of more than ``_LARGE`` clips and features; they give the deviation to 10 %, not to 5 %."""
_LARGE = 1000


def mean_figure(
    values: Sequence[float],
    conditions: Mapping[str, str],
    keep: bool = True,
    least: float = -np.inf,
    groups: Groups = None,
) -> Figure:
    """The mean of the items' values, one item or more; the interval of a single item or group is infinite.

    Args:
        keep: whether the replicates are kept, for a comparison.
        least: what no mean can be below, 0 for a loss; the interval ends there, which of few items it would pass.
    """
    array = np.asarray(values, dtype=np.float64)
    value, drawn = float(np.sort(array).mean()), independent(groups)
    if (drawn or len(array)) == 1:
        return Figure(value, -np.inf, np.inf, len(array), (), conditions, independent=drawn)
    replicates = [float(array[chosen].mean()) for chosen in draws(len(array), groups)]
    reach = half_width(replicates, drawn or len(array))
    low, kept = max(value - reach, least), tuple(replicates) if keep else ()
    return Figure(value, low, value + reach, len(array), kept, conditions, independent=drawn)


def share_figure(matches: Sequence[bool], conditions: Mapping[str, str], groups: Groups = None) -> Figure:
    """The share of items that match, with Wilson's interval (1927): where all or none match, all resamples are alike,
    and a bootstrap interval would claim that there is no doubt.

    Items that are drawn together count as fewer, see ``_effective_items``.
    """
    figure = mean_figure([float(match) for match in matches], conditions, groups=groups)
    if figure.independent is None:
        low, high = _wilson(figure.value, len(matches))
    elif figure.has_interval:
        low, high = _wilson(figure.value, _effective_items(matches, groups or (), figure.independent))
    else:
        low, high = 0.0, 1.0
    return replace(figure, low=low, high=high)


def _effective_items(matches: Sequence[bool], groups: Sequence[str], count: int) -> float:
    """Of how many independent items a share of ``count`` groups, two or more, would vary as much (Korn and Graubard
    1998): p (1 - p) over the share's variance between the groups, and fewer by Student's t where these are few. Where
    all or none match, nothing is known of that variance: each group counts once."""
    share, sums = float(np.mean(matches)), dict.fromkeys(groups, 0.0)
    for match, name in zip(matches, groups, strict=True):
        sums[name] += float(match) - share
    variance = count / (count - 1) * sum(value**2 for value in sums.values()) / len(matches) ** 2
    if share in (0.0, 1.0):
        return float(count)
    items = min(share * (1.0 - share) / variance, len(matches)) if variance else float(len(matches))
    return items * float(ndtri(0.5 + CONFIDENCE / 2) / stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) ** 2


def _wilson(share: float, items: float) -> tuple[float, float]:
    """Wilson's interval of a share of so many items, which need not be a whole number."""
    square = float(ndtri(0.5 + CONFIDENCE / 2)) ** 2
    centre = share + square / (2.0 * items)
    reach = (square * (share * (1.0 - share) + square / (4.0 * items)) / items) ** 0.5
    low, high = ((centre + side * reach) / (1.0 + square / items) for side in (-1.0, 1.0))
    return (low if share > 0.0 else 0.0), (high if share < 1.0 else 1.0)


def frechet_figure(
    real: Features,
    generated: Features,
    conditions: Mapping[str, str],
    of_real: Groups = None,
    groups: Groups = None,
) -> Figure:
    """The Frechet distance of two sets of features, two clips or more each, both sets resampled.

    Args:
        of_real: of the real side; one that is of a single group stays as it is.
        groups: of the generated side.
    """
    count = _distances(generated)
    drawn = zip(draws(len(real), of_real, 1)[:count], draws(len(generated), groups)[:count], strict=True)
    replicates = [distance_of(real, generated, *map(Chosen.resampled, chosen)) for chosen in drawn]
    value = frechet_distance(real, generated)
    return _of_two_sets(value, replicates, conditions, (len(real), of_real), (len(generated), groups), least=0.0)


def _of_two_sets(
    value: float,
    replicates: Sequence[float],
    conditions: Mapping[str, str],
    real: tuple[int, Groups],
    generated: tuple[int, Groups],
    least: float = -np.inf,
) -> Figure:
    """A figure of two sets, (items, their groups) each. What there is fewest of says how sure it is, but for a real
    side of a single recording, which is not drawn: then it is said of this recording alone."""
    items = min(real[0], generated[0])
    drawn = [independent(groups) for _, groups in (real, generated)]
    counts = [drawn[1] or generated[0], *([] if drawn[0] == 1 else [drawn[0] or real[0]])]
    fewest = None if drawn == [None, None] else min(counts)
    if (fewest or items) == 1:
        return Figure(value, -np.inf, np.inf, items, (), conditions, independent=fewest)
    reach = half_width(replicates, fewest or items)
    low = max(value - reach, least)
    return Figure(value, low, value + reach, items, tuple(replicates), conditions, independent=fewest)


def frechet_to_statistics_figure(
    statistics: Statistics, generated: Features, conditions: Mapping[str, str], groups: Groups = None
) -> Figure:
    """The Frechet distance to a mean and a covariance, which stay as they are; two clips or more are resampled."""
    value = distance_to_statistics(statistics, generated, Chosen.all_of(generated))
    replicates = [
        distance_to_statistics(statistics, generated, Chosen.resampled(chosen))
        for chosen in draws(len(generated), groups)[: _distances(generated)]
    ]
    side = len(generated), groups
    return _of_two_sets(value, replicates, conditions, side, side, least=0.0)


def _distances(features: Features) -> int:
    """Resamples of a Frechet distance: fewer where each costs the eigenvalues of a large matrix."""
    return FEWER_RESAMPLES if min(features.shape) > _LARGE else RESAMPLES


def kernel_figure(
    kernel: Kernel,
    real: Features,
    generated: Features,
    conditions: Mapping[str, str],
    of_real: Groups = None,
    groups: Groups = None,
) -> Figure:
    """The discrepancy of two sets of features by a kernel, ``kernel.fewest`` clips or more each, both resampled.

    Args:
        of_real: as in ``frechet_figure``, and ``groups``.
    """
    value, _ = discrepancies(kernel, in_order(real), in_order(generated), (), ())
    chosen = draws(len(real), of_real, 1), draws(len(generated), groups)
    _, found = discrepancies(kernel, real, generated, *chosen)
    return _of_two_sets(value, found.tolist(), conditions, (len(real), of_real), (len(generated), groups))


def inception_score_figure(
    logits: Features, conditions: Mapping[str, str], splits: int = 1, groups: Groups = None
) -> Figure:
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
    scores, side = _inception_scores(ordered, splits), (len(logits), groups)
    replicates = [float(_inception_scores(of_items[chosen], splits).mean()) for chosen in draws(*side)]
    figure = _of_two_sets(float(scores.mean()), replicates, conditions, side, side, least=1.0)
    return figure if splits == 1 else replace(figure, deviation=float(scores.std()), parts=f"{splits} splits")


def over_sets(figures: Sequence[Figure]) -> Figure:
    """The mean of the same figure of several sets of samples, of other noise each, with its deviation over them.

    The interval's ends are the means of theirs: it says how the number of one set would move, and does not shrink with
    the number of sets. Resample number i of the mean is that of each set, which have the same prompts.
    """
    if len(figures) == 1:
        return figures[0]
    value, low, high = (fmean(getattr(figure, name) for figure in figures) for name in ("value", "low", "high"))
    replicates = tuple(fmean(of_sets) for of_sets in zip(*(figure.replicates for figure in figures), strict=True))
    drawn = [figure.independent for figure in figures if figure.independent is not None]
    return replace(
        figures[0], value=value, low=low, high=high, items=min(figure.items for figure in figures),
        replicates=replicates, deviation=stdev(figure.value for figure in figures), parts=f"{len(figures)} sets",
        independent=min(drawn, default=None),
    )  # fmt: skip


def _inception_scores(probabilities: Features, splits: int) -> Features:
    """Of each part: (splits,); of fewer items, as a resample of whole groups may have them, a part for each."""
    splits = min(splits, len(probabilities))
    bounds = [len(probabilities) * place // splits for place in range(splits + 1)]
    parts = [probabilities[start:end] for start, end in pairwise(bounds)]
    return np.array([np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()) for part in parts])
