"""Clips of one recording and samples of one prompt are drawn together: intervals hold what they should then too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from walt.core.figures import Figure, difference
from walt.evaluation.draws import RESAMPLES, Groups, draws, independent, resamples, together
from walt.evaluation.kernels import KID, MMD
from walt.evaluation.resampling import (
    frechet_figure,
    inception_score_figure,
    kernel_figure,
    mean_figure,
    over_sets,
    share_figure,
)
from walt.tracking.promotion import BetterBeyondChance, decide

ON = {"clips": "a"}
Numbers = NDArray[np.float64]


def names(groups: int, each: int) -> list[str]:
    return [f"r{number}" for number in range(groups) for _ in range(each)]


def clustered(rng: np.random.Generator, groups: int, each: int, own: float, columns: int = 1) -> Numbers:
    """(groups x each, columns): what the items of a group share has variance 1, what each has for itself ``own``."""
    shared = rng.standard_normal((groups, columns)).repeat(each, axis=0)
    return np.asarray(shared + own**0.5 * rng.standard_normal(shared.shape))


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    groups = ["a", "b", "a", "c", "b", "a"]
    chosen = resamples(3)
    for drawn, numbers in zip(draws(6, groups), chosen, strict=True):
        members = [[0, 2, 5], [1, 4], [3]]
        assert sorted(drawn.tolist()) == sorted(place for number in numbers for place in members[number])
    assert len(draws(6, groups)) == RESAMPLES
    assert [drawn.tolist() for drawn in draws(6, groups)] == [drawn.tolist() for drawn in draws(6, groups)]
    assert any(a.tolist() != b.tolist() for a, b in zip(draws(6, groups), draws(6, groups, 1), strict=True))
    assert all(sorted(drawn.tolist()) == [0, 1] for drawn in draws(2, ["a", "a"]))


def test_items_of_a_group_are_not_side_by_side_in_a_resample() -> None:
    """A part of it, of which an inception score is the mean, would be of a few groups."""
    first_halves = [set((drawn[: len(drawn) // 2] // 8).tolist()) for drawn in draws(64, names(8, 8))]
    assert np.mean([len(half) for half in first_halves]) > 4.9  # of the 5.25 that a resample of 8 has in the mean


def test_with_one_clip_of_each_recording_nothing_changes_to_the_bit() -> None:
    groups = [f"r{place}" for place in range(40)]
    assert together(groups) is None
    assert independent(groups) is None
    rng = np.random.default_rng(0)
    values, real, made = rng.standard_normal(40).tolist(), rng.standard_normal((40, 3)), rng.standard_normal((40, 3))
    found = {
        "mean": (mean_figure(values, ON, groups=groups), mean_figure(values, ON)),
        "share": (share_figure([value > 0 for value in values], ON, groups),
                  share_figure([value > 0 for value in values], ON)),
        "frechet": (frechet_figure(real, made, ON, groups, groups), frechet_figure(real, made, ON)),
        "kid": (kernel_figure(KID, real, made, ON, groups, groups), kernel_figure(KID, real, made, ON)),
        "score": (inception_score_figure(made, ON, 2, groups), inception_score_figure(made, ON, 2)),
    }  # fmt: skip
    for with_groups, without in found.values():
        assert with_groups == without
        assert "independent" not in with_groups.as_json()


def test_resamples_of_items_are_those_that_are_kept() -> None:
    """What figures of before are compared by, computed here from the generator itself."""
    expected = np.random.RandomState([1, 12]).randint(0, 12, size=(RESAMPLES, 12))
    assert np.array_equal(draws(12, [str(place) for place in range(12)], 1), expected)


def holds(figure: Figure, truth: float) -> bool:
    return figure.low <= truth <= figure.high


def coverage(count: int, draw: Callable[[], tuple[Sequence[float], float]], groups: Groups) -> tuple[float, float]:
    """How often intervals hold the truth: with groups, and as if each clip were alone."""
    found = []
    for _ in range(count):
        values, truth = draw()
        found.append([holds(mean_figure(values, ON, groups=of), truth) for of in (groups, None)])
    together, alone = np.mean(found, axis=0)
    return float(together), float(alone)


def test_intervals_of_clips_that_are_alike_hold_the_truth() -> None:
    """16 recordings of 8 clips each, which are nearly the same: one by one they would hold it half of the time.

    The deviation of the mean is about that of 16 values, 1 / 4; one by one it would be said to be 8 ** 0.5 times less,
    so that P(|N(0, 1)| < 1.96 / 8 ** 0.5) = 0.51.
    """
    rng = np.random.default_rng(0)
    found, alone = coverage(30, lambda: (clustered(rng, 16, 8, 0.05)[:, 0].tolist(), 0.0), names(16, 8))
    assert found >= 0.86
    assert 0.25 <= alone <= 0.72


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "each", "own"), [(5, 20, 0.0), (12, 6, 1.0), (40, 4, 0.2)])
def test_coverage_is_about_95_of_100(groups: int, each: int, own: float) -> None:
    rng = np.random.default_rng(groups)
    found, alone = coverage(400, lambda: (clustered(rng, groups, each, own)[:, 0].tolist(), 0.0), names(groups, each))
    assert 0.90 <= found <= 0.985
    assert alone < found - 0.1


@pytest.mark.slow
def test_coverage_of_groups_of_different_sizes() -> None:
    rng, sizes = np.random.default_rng(1), [1, 2, 3, 4, 6, 8] * 4
    groups = [f"r{number}" for number, size in enumerate(sizes) for _ in range(size)]

    def draw() -> tuple[Sequence[float], float]:
        return np.repeat(rng.standard_normal(len(sizes)), sizes).tolist(), 0.0

    assert 0.89 <= coverage(400, draw, groups)[0] <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_shares_of_prompts_that_are_asked_for_again_hold_the_truth(share: float) -> None:
    """A prompt is mostly shown, or mostly not: whether it is hard is the same for all of its samples."""
    rng, found = np.random.default_rng(int(10 * share)), []
    for _ in range(300):
        hard = rng.beta(0.3 * share, 0.3 * (1 - share), size=24).repeat(10)
        matches = (rng.random(240) < hard).tolist()
        found.append([holds(share_figure(matches, ON, of), share) for of in (names(24, 10), None)])
    together, alone = np.mean(found, axis=0)
    assert 0.90 <= together <= 0.995
    assert alone < 0.75


def test_a_share_of_copies_is_that_of_the_originals() -> None:
    """Ten equal answers to each prompt say no more than one; by hand for 12 of 20, with Student's t of 19."""
    one = [place < 12 for place in range(20)]
    found = share_figure([match for match in one for _ in range(10)], ON, names(20, 10))
    assert (found.value, found.items, found.independent) == (0.6, 200, 20)
    z, t = 1.959964, 2.093024
    items = 19 * (z / t) ** 2  # p (1 - p) over the sample's variance of one prompt / 20
    centre, reach = 0.6 + z**2 / (2 * items), z * (0.24 / items + z**2 / (4 * items**2)) ** 0.5
    assert found.low == pytest.approx((centre - reach) / (1 + z**2 / items), abs=1e-6)
    assert found.high == pytest.approx((centre + reach) / (1 + z**2 / items), abs=1e-6)


def test_where_all_match_each_prompt_counts_once() -> None:
    found, once = share_figure([True] * 60, ON, names(6, 10)), share_figure([True] * 6, ON)
    assert found.low == pytest.approx(once.low, abs=1e-9)
    assert found.high == 1.0
    none = share_figure([False] * 60, ON, names(6, 10))
    assert none.low == 0.0
    assert none.high == pytest.approx(1 - once.low, abs=1e-9)


def test_one_recording_says_nothing_of_others() -> None:
    alone = mean_figure([1.0, 1.1, 0.9], ON, groups=["a"] * 3)
    assert (alone.low, alone.high, alone.replicates, alone.independent) == (-np.inf, np.inf, (), 1)
    assert (share_figure([True, False], ON, ["a"] * 2).low, share_figure([True, False], ON, ["a"] * 2).high) == (0, 1)


def test_a_real_side_of_one_recording_stays_as_it_is() -> None:
    """The interval then is that of the samples' draw, against these clips."""
    rng = np.random.default_rng(0)
    real, made = rng.standard_normal((8, 3)), rng.standard_normal((30, 3))
    found = frechet_figure(real, made, ON, ["a"] * 8)
    assert found.independent == 30
    free = frechet_figure(real, made, ON)
    assert 0.0 < found.high - found.value < free.high - free.value


@pytest.mark.slow
def test_copies_of_a_set_make_the_interval_that_the_set_has() -> None:
    """Each clip four times over on both sides: the groups' intervals are those of single clips, nearly to the digit.

    Not quite: a covariance is divided by the number of clips less one.
    """
    rng = np.random.default_rng(2)
    real, made = rng.standard_normal((40, 3)), rng.standard_normal((30, 3)) + 0.5
    groups = names(40, 4), names(30, 4)
    for measure in (frechet_figure, lambda *given: kernel_figure(MMD, *given)):
        once, again = measure(real, made, ON), measure(real.repeat(4, 0), made.repeat(4, 0), ON, *groups)
        assert again.independent == 30
        assert again.high - again.value == pytest.approx(once.high - once.value, rel=0.06)
        alone = measure(real.repeat(4, 0), made.repeat(4, 0), ON)
        assert alone.high - alone.value < 0.7 * (once.high - once.value)


RULE = BetterBeyondChance(
    rule="better_beyond_chance", alias="champion", metric="held_out_loss/base", better="lower", margin=1.5, guards=(),
    floor=None,
)  # fmt: skip


def wins(rng: np.random.Generator, groups: Groups, count: int) -> int:
    """How often one of two equal models takes the alias of the other: each is better on some recordings."""
    found = 0
    for _ in range(count):
        clips = clustered(rng, 16, 12, 0.1)[:, 0]
        new, old = (clips + clustered(rng, 16, 12, 0.01)[:, 0] for _ in range(2))
        figures = [{RULE.metric: mean_figure(of.tolist(), ON, groups=groups)} for of in (new, old)]
        found += decide(RULE, figures[0], figures[1], "1").better
    return found


@pytest.mark.slow
def test_the_gate_is_not_fooled_by_clips_that_are_alike() -> None:
    """One by one, 12 clips of each recording would let one of five equal challengers win."""
    assert wins(np.random.default_rng(0), names(16, 12), 60) <= 1
    assert wins(np.random.default_rng(0), None, 60) >= 6


def test_a_model_that_is_better_on_each_recording_still_wins() -> None:
    rng = np.random.default_rng(0)
    clips = clustered(rng, 16, 12, 0.1)[:, 0]
    new = clips - 0.2 + clustered(rng, 16, 12, 0.1)[:, 0] * 0.1
    old, groups = mean_figure(clips.tolist(), ON, groups=names(16, 12)), names(16, 12)
    assert decide(RULE, {RULE.metric: mean_figure(new.tolist(), ON, groups=groups)}, {RULE.metric: old}, "1").better


def test_what_is_drawn_is_part_of_what_was_measured() -> None:
    values = np.arange(12.0).tolist()
    found = mean_figure(values, ON, groups=names(4, 3))
    assert Figure.from_json(found.as_json()).independent == 4
    kept = {name: value for name, value in found.as_json().items() if name != "independent"}  # as before groups
    assert Figure.from_json(kept).independent is None
    with pytest.raises(ValueError, match="not measured on the same"):
        difference(found, replace(found, independent=None))
    assert difference(found, found).half_width == 0.0
    assert over_sets([found, replace(found, independent=3)]).independent == 3
