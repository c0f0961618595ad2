"""Which of a clip's captions is taken: the stated one, or one that a number draws by weight."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walt.core.errors import ConfigurationError
from walt.data.caption_choice import FIRST, CaptionChoice, check_names, drawn, stated
from walt.data.captions import Caption, shown

NAMES = st.lists(st.sampled_from(["short", "dense", "model", ""]), min_size=1, max_size=6)
WEIGHTS = st.dictionaries(st.sampled_from(["short", "dense", "model", ""]), st.floats(0, 1e6))
DRAWS = st.floats(0, 1, exclude_max=True)


def test_the_stated_caption_is_the_first_of_its_name_else_the_first_of_all() -> None:
    names = ["short", "dense", "dense"]
    assert [stated(names, wanted) for wanted in ("dense", "short", "model", None)] == [1, 0, 0, 0]
    assert CaptionChoice("dense").place(names, None) == 1
    assert FIRST.place(names, None) == 0
    assert CaptionChoice("dense").place((), None) == CaptionChoice("dense").place((), 0.5) == 0


def test_even_draws_give_each_caption_its_share() -> None:
    names, draws = ["short", "dense", "dense"], [(place + 0.5) / 800 for place in range(800)]
    even = Counter(drawn(names, {}, draw) for draw in draws)
    assert even == {0: 267, 1: 266, 2: 267}
    assert Counter(drawn(names, {"short": 2, "dense": 1}, draw) for draw in draws) == {0: 400, 1: 200, 2: 200}
    assert Counter(drawn(names, {"short": 6}, draw) for draw in draws) == {0: 600, 1: 100, 2: 100}, "others weigh 1"
    assert Counter(drawn(names, {"short": 0}, draw) for draw in draws) == {1: 400, 2: 400}


@settings(deadline=None)
@given(NAMES, WEIGHTS, DRAWS)
def test_what_is_drawn_is_there_and_has_a_weight(names: list[str], weights: dict[str, float], draw: float) -> None:
    place = drawn(names, weights, draw)
    assert 0 <= place < len(names)
    if any(weights.get(name, 1) for name in names):
        assert weights.get(names[place], 1) > 0


@settings(deadline=None)
@given(NAMES, WEIGHTS, DRAWS, DRAWS)
def test_a_larger_number_never_draws_an_earlier_caption(
    names: list[str], weights: dict[str, float], one: float, other: float
) -> None:
    assert drawn(names, weights, min(one, other)) <= drawn(names, weights, max(one, other))


def test_a_name_that_no_caption_has_is_one_line_with_those_there_are() -> None:
    check_names(["dense"], {"dense", "short"}, "sample.caption")
    with pytest.raises(ConfigurationError) as error:
        check_names(["dens"], {"short", "dense", ""}, "sample.caption")
    assert str(error.value) == (
        "sample.caption: no caption is called 'dens'; did you mean 'dense'? (names: dense, short)"
    )
    with pytest.raises(ConfigurationError, match=r"^evaluate\.caption: .* 'x' \(the captions have no names\)$"):
        check_names(["x"], {""}, "evaluate.caption")


def test_captions_are_shown_with_their_names_where_there_are_several() -> None:
    assert shown([]) == "(no caption)"
    assert shown([Caption("short", "a cat")]) == "a cat"
    assert shown([Caption("short", "a cat"), Caption("", "a kitty")]) == "short: a cat / a kitty"
