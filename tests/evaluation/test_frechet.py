"""The Frechet distance against its closed form."""

from __future__ import annotations

import numpy as np
import pytest

from walt.evaluation.frechet import (
    Chosen,
    Features,
    Statistics,
    distance_of,
    distance_to_statistics,
    frechet_distance,
)


def features(count: int, seed: int, size: int = 3, mean: float = 0.0, scale: float = 1.0) -> Features:
    rng = np.random.default_rng(seed)
    return mean + scale * rng.standard_normal((count, size)) @ (np.eye(size) + 0.3 * rng.standard_normal((size, size)))


def test_against_the_formula() -> None:
    """d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), by eigenvalues in numpy."""
    a, b = features(50, 0), features(40, 1, mean=0.5, scale=2.0)
    s1, s2 = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.linalg.eigvals(s1 @ s2).real).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "size"), [(40, 3), (20, 48)])
def test_to_statistics_as_to_the_clips_that_they_are_of(count: int, size: int) -> None:
    a, b = features(50, 0, size), features(count, 1, size, mean=0.5, scale=2.0)
    statistics = Statistics(a.mean(0), np.cov(a.T), "")
    found = distance_to_statistics(statistics, b, Chosen.all_of(b))
    assert found == pytest.approx(frechet_distance(a, b), rel=1e-8)
    assert distance_to_statistics(statistics, a, Chosen.all_of(a)) == pytest.approx(0.0, abs=1e-9)


def test_of_a_shift_and_a_scale_in_closed_form() -> None:
    """The same set, moved by m and stretched by s: |m + (s - 1) mu|^2 + (s - 1)^2 tr S."""
    a = features(300, 0, size=5)
    expected = ((1.5 * a.mean(0) + 2.0 - a.mean(0)) ** 2).sum() + 0.25 * np.trace(np.cov(a.T))
    assert frechet_distance(a, 1.5 * a + 2.0) == pytest.approx(expected, rel=1e-9)


def test_fewer_clips_than_features() -> None:
    """The covariances have no full rank; with a ridge of nothing the formula still holds."""
    a, b = features(12, 0, size=40), features(9, 1, size=40, mean=0.3)
    ridge = 1e-13 * np.eye(40)
    s1, s2 = np.cov(a.T) + ridge, np.cov(b.T) + ridge
    values, vectors = np.linalg.eigh(s1)
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ s2 @ root).clip(0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2) - 2 * trace
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("count", [2, 20, 200])
def test_a_set_is_at_no_distance_from_itself(count: int) -> None:
    a = features(count, 0, size=48)
    assert frechet_distance(a, a) == 0.0
    assert frechet_distance(a, a[::-1]) == 0.0
    assert frechet_distance(a, a + 1e-3) == pytest.approx(48e-6, rel=1e-6)


@pytest.mark.parametrize(("count", "size"), [(200, 24), (20, 48)])
def test_the_order_changes_no_bit(count: int, size: int) -> None:
    a, b = features(count, 0, size), features(count, 1, size, mean=0.1)
    expected, rng = frechet_distance(a, b), np.random.default_rng(0)
    assert {frechet_distance(rng.permutation(a), rng.permutation(b)) for _ in range(5)} == {expected}


def spread(count: int, size: int, smallest: float, rank: int, seed: int) -> Features:
    """Features of ``rank`` directions whose strengths fall to ``smallest``."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(9).standard_normal((rank, size))
    return rng.standard_normal((count, rank)) * np.geomspace(1.0, smallest, rank) @ directions + 0.1 * seed


def by_singular_values(a: Features, b: Features) -> float:
    """The distance with the digits of singular values, and not those of eigenvalues."""
    roots = np.linalg.svd((a - a.mean(0)) @ (b - b.mean(0)).T, compute_uv=False).sum()
    traces = a.var(0, ddof=1).sum() + b.var(0, ddof=1).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + traces - 2 * roots / np.sqrt((len(a) - 1) * (len(b) - 1)))


SPREADS = [(200, 50, 1.0, 20), (200, 50, 1e-3, 50), (200, 50, 1e-10, 50), (40, 100, 1.0, 20), (40, 100, 1e-7, 100)]


@pytest.mark.parametrize(("count", "size", "smallest", "rank"), SPREADS)
def test_directions_that_are_hardly_there_cost_no_digits(count: int, size: int, smallest: float, rank: int) -> None:
    a, b = (spread(count, size, smallest, rank, seed) for seed in (0, 1))
    assert frechet_distance(a, b) == pytest.approx(by_singular_values(a, b), rel=1e-7)


@pytest.mark.parametrize(("count", "size"), [(60, 8), (20, 30)])
def test_a_row_that_counts_twice_is_there_twice(count: int, size: int) -> None:
    a, b = features(count, 0, size), features(count, 1, size, mean=0.2)
    rows = np.random.default_rng(0).integers(0, count, (2, count))
    found = distance_of(a, b, *map(Chosen.resampled, rows))
    assert found == pytest.approx(by_singular_values(a[rows[0]], b[rows[1]]), rel=1e-8)


@pytest.mark.parametrize("size", [3, 40])
def test_a_clip_drawn_again_and_again_has_a_mean_alone(size: int, capfd: pytest.CaptureFixture[str]) -> None:
    """As resamples of few clips do. BLAS writes to the output where it is given an empty matrix."""
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(20, size)), rng.normal(size=(4, size))
    one = Chosen.resampled(np.zeros(4, dtype=np.int64))
    shift = real.mean(0) - generated[0]
    expected = shift @ shift + real.var(0, ddof=1).sum()
    assert distance_of(real, generated, Chosen.all_of(real), one) == pytest.approx(expected, rel=1e-9)
    shift = generated[0] - generated[1]
    other = Chosen.resampled(np.ones(4, dtype=np.int64))
    assert distance_of(generated, generated, one, other) == pytest.approx(shift @ shift, rel=1e-9)
    assert capfd.readouterr() == ("", "")


def test_it_grows_with_the_difference() -> None:
    real = features(64, 0, scale=0.3)
    found = [frechet_distance(real, features(64, 1, scale=0.3, mean=mean)) for mean in (0.0, 0.1, 0.5)]
    assert 0.0 < found[0] < found[1] < found[2]
