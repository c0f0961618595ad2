"""Rules of promotion, as functions of figures; ``test_models`` moves the alias by them."""

from __future__ import annotations

import math

import pytest

from walt.tracking.promotion import BetterByMargin, decide

RULE = BetterByMargin(rule="better_by_margin", alias="champion", metric="fvd", better="lower", margin=2.0)


@pytest.mark.parametrize(
    ("new", "old", "better", "reason"),
    [
        (7.0, 10.0, True, "fvd 7 against 10 of version 3, better by more than 2"),
        (8.0, 10.0, False, "fvd 8 against 10 of version 3, not better by more than 2"),
        (13.0, 10.0, False, "fvd 13 against 10 of version 3, not better by more than 2"),
        (math.nan, 10.0, False, "fvd is nan"),
        (math.inf, None, False, "fvd is inf"),
    ],
)
def test_a_release_must_be_better_by_more_than_the_margin(
    new: float, old: float | None, better: bool, reason: str
) -> None:
    decision = decide(RULE, {"fvd": new}, None if old is None else {"fvd": old}, "3")
    assert (decision.better, decision.reason) == (better, reason)


def test_the_first_release_and_one_that_follows_an_unmeasured_one_take_the_alias() -> None:
    assert decide(RULE, {"fvd": 7.0}, None, None).reason == "it is the first, with fvd 7"
    unmeasured = decide(RULE, {"fvd": 7.0}, {}, "3")
    assert (unmeasured.better, unmeasured.reason) == (True, "version 3 was never measured by fvd; this one has 7")


def test_higher_is_better_where_the_rule_says_so() -> None:
    higher = RULE.model_copy(update={"better": "higher"})
    assert decide(higher, {"fvd": 13.0}, {"fvd": 10.0}, "3").better
    assert not decide(higher, {"fvd": 7.0}, {"fvd": 10.0}, "3").better
