"""Frechet distance between two sets of clips, of their features (``walt.evaluation.extractors``).

d^2 = |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), with mean and covariance of the clips' features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, eigvalsh
from scipy.linalg.blas import dger, dsyrk

Features = NDArray[np.float64]
"""(N, D): a row for each clip."""

_ALLOWED = 1e-8
"""Of the covariances' traces: a distance whose rounding could be more is computed in the slower way."""
_BLOCK = 256
"""Rows that are centred at once: no copy of all of them is made."""


@dataclass(frozen=True)
class Chosen:
    """Rows of a set of features, in the order in which they are summed; it counts for the last bits."""

    rows: NDArray[np.int64]
    counts: Features | None
    """How often each is there; None: once."""

    @classmethod
    def all_of(cls, features: Features) -> Chosen:
        """Each row once, in one order for each set, whatever order they are in: sorted by their bytes."""
        rows = np.ascontiguousarray(features, dtype=np.float64)
        keys = rows.view(np.dtype((np.void, rows.strides[0]))).ravel()
        return cls(np.argsort(keys, kind="stable"), None)

    @classmethod
    def resampled(cls, rows: NDArray[np.int64]) -> Chosen:
        """Those of a resample, (N,): what is drawn several times is summed once, and counts more."""
        found, counts = np.unique(rows, return_counts=True)
        return cls(found, counts.astype(np.float64))


def in_order(features: Features) -> Features:
    """The rows as ``Chosen.all_of`` orders them."""
    return np.asarray(features[Chosen.all_of(features).rows], dtype=np.float64)


def frechet_distance(real: Features, generated: Features) -> float:
    """The distance between two sets of features, 0 or more; both (N, D) with N of 2 or more.

    The same bits whatever the order of the rows.
    """
    one, other = Chosen.all_of(real), Chosen.all_of(generated)
    if _equal(real, one.rows, generated, other.rows):
        return 0.0  # and not the rounding of what follows
    return distance_of(real, generated, one, other)


def distance_of(real: Features, generated: Features, of_real: Chosen, of_generated: Chosen) -> float:
    """As ``frechet_distance``, of some of the rows."""
    a, b = _Side.of(real, of_real), _Side.of(generated, of_generated)
    return _distance(a, b, lambda: (_root(real, of_real), _root(generated, of_generated)))


@dataclass(frozen=True)
class Statistics:
    """Mean (D,) and covariance (D, D) of the real side's features, and the SHA-256 of their file."""

    mean: Features
    covariance: Features
    digest: str

    @cached_property
    def root(self) -> Features:
        """A matrix A (D, D) with A^T A the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray(np.sqrt(values.clip(0.0))[:, None] * vectors.T)


def distance_to_statistics(statistics: Statistics, generated: Features, chosen: Chosen) -> float:
    """The distance of some of the rows of (N, D), two or more, to a mean and a covariance, which is symmetric."""
    real = _Side(statistics.mean, None, statistics.covariance, float(np.trace(statistics.covariance)))
    return _distance(real, _Side.of(generated, chosen), lambda: (statistics.root, _root(generated, chosen)))


@dataclass(frozen=True)
class _Side:
    """What a distance needs of a set: its covariance, or, of fewer clips than features, the rows of ``_root``."""

    mean: Features
    rows: Features | None
    covariance: Features | None
    trace: float
    """Of the covariance."""

    @classmethod
    def of(cls, features: Features, chosen: Chosen) -> _Side:
        mean, covariance = _moments(features, chosen) if len(chosen.rows) > features.shape[1] else (None, None)
        if mean is not None and covariance is not None:
            return cls(mean, None, covariance, float(np.trace(covariance)))
        mean, rows = _centred(features, chosen)
        return cls(mean, rows, None, float(np.vdot(rows, rows)))

    def times(self, rows: Features) -> Features:
        """R S R^T for R (K, D) and the covariance S, or a matrix of the same eigenvalues; its lower triangle."""
        if self.covariance is not None:
            return np.asarray(rows @ self.covariance @ rows.T)
        assert self.rows is not None
        product = rows @ self.rows.T  # (K, N - 1)
        if not product.size:  # one clip alone, drawn several times, has no covariance
            return np.zeros((0, 0))
        return np.asarray(dsyrk(1.0, product.T, trans=len(rows) <= product.shape[1], lower=True))


def _distance(a: _Side, b: _Side, roots: Callable[[], tuple[Features, Features]]) -> float:
    """d^2 of two sets. tr (S_1 S_2)^(1/2) is the sum of the singular values of A B^T, where A^T A = S_1, B^T B = S_2:
    those of a matrix that is no larger than the number of clips, or of features.

    They are the roots of the eigenvalues of a symmetric matrix, which costs a quarter of the singular values
    themselves, but small ones lose half of their digits: where that could count, ``roots`` gives A and B, and the
    singular values are computed as such.
    """
    shift, traces = a.mean - b.mean, a.trace + b.trace
    found, error = _sum_of_roots(a, b)
    if error > _ALLOWED * traces:
        one, other = roots()
        found, error = float(np.linalg.svd(one @ other.T, compute_uv=False).sum()), 0.0
    distance = float(shift @ shift) + traces - 2.0 * found
    return distance if distance > 2.0 * error + 1e-12 * traces else 0.0


def _sum_of_roots(a: _Side, b: _Side) -> tuple[float, float]:
    """(sum of the roots of the eigenvalues of B S_1 B^T, a bound of its error)."""
    if b.rows is None:
        a, b = b, a
    rows = b.rows
    if rows is None:
        assert b.covariance is not None
        try:
            rows = cholesky(b.covariance, check_finite=False)  # upper: R^T R
        except LinAlgError:
            return 0.0, inf
    values = eigvalsh(a.times(rows), overwrite_a=True, check_finite=False)
    if a.covariance is None:  # both are rows
        scale = float(values.sum())
    else:  # the covariances are rounded before they are multiplied
        scale = float(np.linalg.norm(a.covariance)) * (
            b.trace if b.covariance is None else float(np.linalg.norm(b.covariance))
        )
    rounding = float(np.finfo(np.float64).eps) * scale
    roots = np.sqrt(values.clip(0.0))
    error = np.minimum(rounding / (2.0 * roots.clip(np.finfo(np.float64).tiny)), np.sqrt(rounding)).sum()
    return float(roots.sum()), float(error)


def _moments(features: Features, chosen: Chosen) -> tuple[Features, Features]:
    """(mean (D,), covariance (D, D)), summed over blocks of rows around a point between them."""
    around = features[chosen.rows[:_BLOCK]].mean(axis=0)
    total, weight = np.zeros(features.shape[1]), 0.0
    products = np.zeros((features.shape[1], features.shape[1]), order="F")  # its upper triangle
    for start in range(0, len(chosen.rows), _BLOCK):
        block = features[chosen.rows[start : start + _BLOCK]]
        block -= around
        counts = np.ones(len(block)) if chosen.counts is None else chosen.counts[start : start + _BLOCK]
        total += counts @ block
        weight += counts.sum()
        if chosen.counts is not None:
            block *= np.sqrt(counts)[:, None]
        products = dsyrk(1.0, block.T, beta=1.0, c=products, overwrite_c=True)
    shift = total / weight
    covariance = np.triu(products)
    covariance += np.triu(products, 1).T
    covariance -= weight * np.outer(shift, shift)
    covariance /= weight - 1.0
    return around + shift, covariance


def _centred(features: Features, chosen: Chosen) -> tuple[Features, Features]:
    """(mean (D,), A (N - 1, D) with A^T A the covariance)."""
    rows = np.asarray(features[chosen.rows], dtype=np.float64)
    counts = np.ones(len(rows)) if chosen.counts is None else chosen.counts
    total = counts.sum()
    mean = counts @ rows / total
    rows -= mean
    rows *= np.sqrt(counts / (total - 1.0))[:, None]
    # one of the N rows depends on the others: root(counts) times the rows is 0. This direction is reflected into the
    # first row, which is left out: a singular value of 0 would lose half of its digits
    normal = np.sqrt(counts / total)
    normal[0] += 1.0
    dger(-1.0 / normal[0], normal @ rows, normal, a=rows.T, overwrite_a=True)
    return mean, rows[1:]


def _root(features: Features, chosen: Chosen) -> Features:
    """A matrix A with A^T A the covariance, of D rows or fewer."""
    _, rows = _centred(features, chosen)
    return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows


def _equal(one: Features, of_one: NDArray[np.int64], other: Features, of_other: NDArray[np.int64]) -> bool:
    """Whether two sets hold the same rows."""
    return one.shape == other.shape and all(
        np.array_equal(one[of_one[start : start + _BLOCK]], other[of_other[start : start + _BLOCK]])
        for start in range(0, len(one), _BLOCK)
    )
