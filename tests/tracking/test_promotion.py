"""Rules of promotion, as functions of figures; ``test_models`` moves the alias by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from walt.core.figures import Figure
from walt.evaluation.frechet import Features
from walt.evaluation.resampling import frechet_figure, mean_figure, share_figure
from walt.tracking.promotion import BetterBeyondChance, Guard, decide

RULE = BetterBeyondChance(
    rule="better_beyond_chance", alias="champion", metric="fvd", better="lower", margin=1.5, guards=(), floor=None
)
SHARE = RULE.model_copy(update={"metric": "adherence/both", "better": "higher"})
SAME = {"real clips": "a", "settings": "b"}


def spread(value: float, half: float = 1.0, **conditions: str) -> Figure:
    """A figure of 64 videos whose replicates differ from those of a ``spread`` of half 0 by chance alone."""
    numbers = np.random.RandomState(0).standard_normal(200)
    numbers = (numbers - numbers.mean()) / numbers.std(ddof=1) * half / 2.0
    return Figure(value, value - half, value + half, 64, tuple(value + numbers), {**SAME, **conditions})


FIXED = {"fvd": spread(10.0, 0.0)}


@pytest.mark.parametrize(("value", "better"), [(8.4, True), (8.6, False), (11.4, False), (20.0, False), (10.0, False)])
def test_a_release_must_be_better_by_more_than_chance_may_give(value: float, better: bool) -> None:
    decision = decide(RULE, {"fvd": spread(value)}, FIXED, "3")
    assert decision.better is better
    assert decision.differences["fvd"].value == value - 10.0
    assert decision.differences["fvd"].half_width == pytest.approx(1.0, abs=0.01)
    assert f"against 10 [10, 10] of version 3, {'' if better else 'not '}better by more than chance may give (" in (
        decision.reason
    )


def test_the_reason_names_both_intervals_and_what_chance_may_give() -> None:
    decision = decide(RULE, {"fvd": spread(7.0)}, FIXED, "3")
    assert decision.reason == (
        "fvd 7 [6, 8] against 10 [10, 10] of version 3, better by more than chance may give "
        "(gain +3, needed are 1.5 x 0.999)"
    )


def test_an_equal_value_is_no_gain() -> None:
    for rule, name in ((RULE, "fvd"), (SHARE, "adherence/both")):
        equal = {name: spread(7.0)}
        said = decide(rule, equal, equal, "3").reason
        assert "not better by more than chance may give (gain +0, needed are 1.5 x " in said


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_never_wins(value: float) -> None:
    for old in (None, FIXED):
        decision = decide(RULE, {"fvd": replace(spread(1.0), value=value)}, old, "3")
        assert (decision.better, decision.reason) == (False, f"fvd is {value}")


def test_higher_is_better_where_the_rule_says_so() -> None:
    higher = RULE.model_copy(update={"better": "higher"})
    assert decide(higher, {"fvd": spread(13.0)}, FIXED, "3").better
    assert not decide(higher, {"fvd": spread(7.0)}, FIXED, "3").better


def test_no_guard_may_get_worse() -> None:
    guarded = RULE.model_copy(update={"guards": (Guard(metric="adherence/shape", better="higher"),)})
    new, old = {"fvd": spread(5.0)}, {**FIXED, "adherence/shape": spread(0.9, 0.0)}
    good = decide(guarded, {**new, "adherence/shape": spread(0.85, 0.1)}, old, "3")
    assert good.better
    assert good.reason.endswith("not worse in adherence/shape")
    bad = decide(guarded, {**new, "adherence/shape": spread(0.75, 0.1)}, old, "3")
    assert not bad.better
    said = (
        "; adherence/shape 0.75 [0.65, 0.85] against 0.9 [0.9, 0.9] is worse by 0.15, more than the 0.0999 that chance"
    )
    assert bad.reason.endswith(f"{said} may give")


@pytest.mark.parametrize(
    ("matches", "better"), [(64, True), (44, True), (38, False), (10, False)]
)  # of 64; 38 is above the floor, but its interval is not
def test_the_first_release_must_reach_the_floor_with_its_whole_interval(matches: int, better: bool) -> None:
    figure = share_figure([place < matches for place in range(64)], SAME)
    decision = decide(SHARE.model_copy(update={"floor": 0.5}), {"adherence/both": figure}, None, None)
    assert decision.better is better
    assert decision.reason.startswith(f"it is the first, with adherence/both {figure}, ")
    lower = decide(RULE.model_copy(update={"floor": 8.0}), {"fvd": spread(8.5)}, None, None)
    assert not lower.better


def test_without_a_floor_any_release_may_be_the_first() -> None:
    assert decide(RULE, {"fvd": spread(7.0)}, None, None).reason == "it is the first, with fvd 7 [6, 8]"


def test_losses_of_two_latent_spaces_are_not_compared() -> None:
    rule = RULE.model_copy(update={"metric": "held_out_loss/base"})
    new, old = spread(0.1, autoencoder="new"), spread(0.9, autoencoder="old")
    decision = decide(rule, {"held_out_loss/base": new}, {"held_out_loss/base": old}, "3")
    assert not decision.better
    assert decision.reason == (
        "held_out_loss/base of version 3 was not measured on the same (autoencoder): losses in two latent spaces are "
        "not compared"
    )


def test_numbers_of_two_protocols_are_not_compared() -> None:
    new, old = spread(1.0, protocol="demo (0a)"), spread(100.0, protocol="demo, 8 samples (1b)")
    decision = decide(RULE, {"fvd": new}, {"fvd": old}, "3")
    assert not decision.better
    assert decision.reason == (
        "fvd of version 3 is of another protocol ('demo (0a)' and 'demo, 8 samples (1b)'): "
        "such numbers are not compared"
    )


def test_what_was_measured_on_something_else_decides_nothing() -> None:
    others = {"fvd": spread(100.0, **{"real clips": "other", "prompts and seeds": "c"})}
    decision = decide(RULE, {"fvd": spread(1.0)}, others, "3")
    assert not decision.better
    assert decision.reason == "fvd of version 3 was not measured on the same (real clips, prompts and seeds)"
    assert decide(RULE, {"fvd": spread(1.0)}, {}, "3").reason == (
        "version 3 cannot be measured by fvd with what is here"
    )
    alone = mean_figure([1.0], SAME)
    assert "too few" in decide(RULE, {"fvd": alone}, {"fvd": alone}, "3").reason


def test_what_has_no_interval_decides_nothing() -> None:
    """A guard too: no comparison with what is not a number is true, and so none says that it got worse."""
    guarded = RULE.model_copy(update={"guards": (Guard(metric="adherence/shape", better="higher"),)})
    broken = replace(spread(0.2, 0.1), replicates=(math.nan, *spread(0.2, 0.1).replicates[1:]))
    new, old = {"fvd": spread(5.0), "adherence/shape": broken}, {**FIXED, "adherence/shape": spread(0.9, 0.0)}
    decision = decide(guarded, new, old, "3")
    assert (decision.better, decision.reason) == (
        False, "adherence/shape is not a number for some draws of its clips, and so has no interval",
    )  # fmt: skip
    of_one = mean_figure([1.0, 2.0, 3.0], SAME, groups=["a"] * 3)
    assert decide(RULE, {"fvd": of_one}, {"fvd": of_one}, "3").reason == (
        "fvd was measured on 1 recording or prompt, too few for an interval"
    )


@pytest.mark.parametrize(("videos", "better"), [(2, False), (3, False), (4, False), (8, True), (64, True)])
def test_few_videos_that_all_match_do_not_beat_as_few_that_do_not(videos: int, better: bool) -> None:
    """No resample of either differs, so the bootstrap alone says that nothing is left to chance."""
    none, every = (share_figure([shown] * videos, SAME) for shown in (False, True))
    decision = decide(SHARE, {"adherence/both": every}, {"adherence/both": none}, "3")
    assert decision.better is better
    assert decision.differences["adherence/both"].half_width > 0
    assert not decide(SHARE, {"adherence/both": none}, {"adherence/both": every}, "3").better


def test_a_constant_says_nothing_of_chance() -> None:
    new, old = (mean_figure([value] * 64, SAME) for value in (1.0, 2.0))
    decision = decide(RULE, {"fvd": new}, {"fvd": old}, "3")
    assert (decision.better, decision.reason) == (
        False, "fvd is the same for each clip, of both: a constant, which says nothing of what chance may give",
    )  # fmt: skip
    assert not decide(RULE, {"fvd": old}, {"fvd": old}, "3").better, "a tie"


def moves(rule: BetterBeyondChance, releases: Sequence[Figure]) -> int:
    """How often the alias moves after the first release took it."""
    champion, count = releases[0], 0
    for number, release in enumerate(releases[1:]):
        if decide(rule, {rule.metric: release}, {rule.metric: champion}, str(number)).better:
            champion, count = release, count + 1
    return count


@pytest.mark.slow
@pytest.mark.parametrize("videos", [4, 64, 256])
def test_equal_models_hardly_ever_take_the_alias_by_their_prompts(videos: int) -> None:
    """20 challengers of the same quality as the champion, each with its own samples; 40 times over."""
    numbers = np.random.default_rng(videos)
    found = [
        moves(SHARE, [share_figure(list(numbers.random(videos) < 0.7), SAME) for _ in range(21)]) for _ in range(40)
    ]
    assert sum(count > 1 for count in found) <= (2 if videos == 4 else 0)
    assert sum(found) <= (8 if videos == 4 else 4)


def features(numbers: np.random.Generator, videos: int, mean: float = 0.0) -> Features:
    scales = np.linspace(0.1, 1.0, 12)
    return numbers.standard_normal((videos, 12)) * scales + mean


@pytest.mark.slow
def test_equal_models_hardly_ever_take_the_alias_by_their_distance() -> None:
    numbers = np.random.default_rng(0)
    real = features(numbers, 128)
    found = [moves(RULE, [frechet_figure(real, features(numbers, 64), SAME) for _ in range(21)]) for _ in range(3)]
    assert max(found) <= 1
    assert sum(found) <= 1


@pytest.mark.slow
def test_a_better_model_does_take_the_alias() -> None:
    numbers = np.random.default_rng(0)
    real = features(numbers, 128)
    worse = frechet_figure(real, features(numbers, 64, mean=0.5), SAME)
    rule = RULE.model_copy(update={"metric": "fvd"})
    assert moves(rule, [worse, *(frechet_figure(real, features(numbers, 64), SAME) for _ in range(3))]) == 1
    shares = [share_figure(list(numbers.random(64) < share), SAME) for share in (0.5, 0.95, 0.95)]
    assert moves(SHARE, shares) == 1
