"""Distances between two sets of features by a polynomial kernel: what they say holds for few clips too.

The maximum mean discrepancy MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y) with k(x, y) = (x.y / D + c)^degree. KID
(Binkowski et al., arXiv 1801.01401) has degree 3 and c 1 and leaves out each item's pair with itself, so that it is 0
in the mean for sets of one distribution, however few they are, and may be below 0. JEDi (Luo et al., arXiv 2410.05203)
has degree 2 and c 0, keeps those pairs, and multiplies by 100; on other features than V-JEPA's it is not JEDi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from walt.evaluation.frechet import Features

_BLOCK = 1024
"""Rows of a block of the kernel matrix, of which there is never more than one: 8 MiB."""


@dataclass(frozen=True)
class Kernel:
    """A polynomial kernel, and the mean discrepancy that is taken with it."""

    degree: int
    constant: float
    with_itself: bool
    """Whether an item's pair with itself counts."""
    scale: float

    @property
    def fewest(self) -> int:
        """Items that each set must have."""
        return 1 if self.with_itself else 2


KID = Kernel(3, 1.0, False, 1.0)
MMD = Kernel(2, 0.0, True, 100.0)


def discrepancies(
    kernel: Kernel,
    real: Features,
    generated: Features,
    of_real: Sequence[NDArray[np.int64]],
    of_generated: Sequence[NDArray[np.int64]],
) -> tuple[float, NDArray[np.float64]]:
    """(the squared discrepancy of two sets, that of each pair of their resamples).

    In a resample an item is there several times; its pairs with its copies count, and shift it up a little, which does
    not matter for its spread. The value itself has the same bits whatever is resampled, for rows in the same order.

    Args:
        real: (N, D), of ``kernel.fewest`` items or more; ``generated`` (M, D) too.
        of_real: R times numbers of items, as many as were drawn; ``of_generated`` too.
    """
    weights = [_weights(chosen, len(side)) for chosen, side in ((of_real, real), (of_generated, generated))]
    within = [_within(kernel, side, of_side) for side, of_side in zip((real, generated), weights, strict=True)]
    pairs = weights[0].sum(axis=1) * weights[1].sum(axis=1)
    between = _sums(kernel, real, generated, *weights) / pairs
    found = kernel.scale * (within[0] + within[1] - 2.0 * between)
    return float(found[0]), found[1:]


def _weights(chosen: Sequence[NDArray[np.int64]], items: int) -> Features:
    """How often each item is there: (1 + R, N); once each in the first row."""
    counts = np.stack([np.bincount(row, minlength=items) for row in chosen]) if len(chosen) else np.empty((0, items))
    return np.concatenate([np.ones((1, items)), counts]).astype(np.float64)


def _within(kernel: Kernel, side: Features, weights: Features) -> Features:
    """The mean of the kernel over pairs of one set: (1 + R,)."""
    sums, items = _sums(kernel, side, side, weights, weights), weights.sum(axis=1)
    if kernel.with_itself:
        return np.asarray(sums / items**2)
    itself = (np.einsum("nd,nd->n", side, side) / side.shape[1] + kernel.constant) ** kernel.degree
    return np.asarray((sums - weights @ itself) / (items * (items - 1)))


def _sums(kernel: Kernel, rows: Features, columns: Features, of_rows: Features, of_columns: Features) -> Features:
    """Sum of w_i k(x_i, y_j) v_j for each pair of rows of weights: (1 + R,).

    The first row, of ones, is summed by itself: its bits then do not depend on how many resamples there are.
    """
    total = np.zeros(len(of_rows))
    for top in range(0, len(rows), _BLOCK):
        for left in range(0, len(columns), _BLOCK):
            block = rows[top : top + _BLOCK] @ columns[left : left + _BLOCK].T
            block /= rows.shape[1]
            block += kernel.constant
            block **= kernel.degree
            total[0] += block.sum()
            if len(total) > 1:
                part = of_rows[1:, top : top + _BLOCK] @ block  # (R, columns)
                total[1:] += np.einsum("rn,rn->r", part, of_columns[1:, left : left + _BLOCK])
    return total
