"""Precision and recall of a set of features: how many generated clips are like real ones, and the reverse.

Kynkaanniemi et al. (arXiv 1904.06991): a clip is like those of a set when it is no farther from one of them than that
one is from its third nearest neighbour in its own set.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from walt.evaluation.frechet import Features

NEIGHBOURS = 3
_BLOCK = 256


def covered(items: Features, by: Features) -> NDArray[np.bool_]:
    """Of each of the items (N, D) whether it is like one of ``by`` (M, D), which has more than ``NEIGHBOURS`` rows.

    Whatever the order of either: distances are taken pair by pair.
    """
    radii = np.concatenate([np.sort(block, axis=1)[:, NEIGHBOURS] for block in _distances(by, by)])  # 0: itself
    return np.concatenate([(block <= radii).any(axis=1) for block in _distances(items, by)])


def _distances(rows: Features, columns: Features) -> Iterator[Features]:
    """Squared Euclidean distances, (block of rows, M) each.

    By differences and not by products, so that equal rows are at 0 and a pair gives the same bits in both directions.
    """
    for top in range(0, len(rows), _BLOCK):
        yield cdist(rows[top : top + _BLOCK], columns, "sqeuclidean")
