"""What is said of prompts that the text encoder does not see whole."""

from __future__ import annotations

from typing import Any, cast

import pytest

from walt.sampling.prompt_inputs import notes_on_prompts
from walt.text.encoder import Reading, TextEncoder


class Reader:
    """Takes the place of a text encoder: a token for each word, and knows the words of ASCII letters."""

    max_tokens = 4

    def readings(self, captions: list[str]) -> list[Reading]:
        return [
            Reading(len(text.split()) + 1, tuple(word for word in text.split() if not word.isascii()))
            for text in captions
        ]


def notes(*prompts: Any) -> tuple[str, ...]:
    return notes_on_prompts(prompts, cast(TextEncoder, Reader()))


@pytest.mark.parametrize("prompts", [("a red circle", "a"), ("",), (3, None), ()])
def test_what_is_read_whole_gets_no_note(prompts: tuple[Any, ...]) -> None:
    assert notes(*prompts) == ()


def test_models_without_text_get_no_note() -> None:
    assert notes_on_prompts([3, None], None) == ()


def test_one_prompt_is_spoken_of_as_one() -> None:
    cut, unknown = notes("a красный круг moving left")
    assert cut == "the prompt is longer than text.max_tokens 4: the rest is cut off; it has 6 tokens"
    assert unknown == (
        "the prompt holds what the text encoder's vocabulary lacks, and which it does not tell from each other: "
        "красный круг"
    )


def test_of_several_prompts_it_says_how_many_each_counted_once() -> None:
    cut, unknown = notes("a b c d", "a b c d", "a", "b 圆", "一 圆")
    assert cut == "1 of 4 prompts is longer than text.max_tokens 4: the rest is cut off; the longest has 5 tokens"
    assert unknown.startswith("2 of 4 prompts hold what the text encoder's vocabulary lacks")
    assert unknown.endswith(": 圆 一"), "each once"


def test_what_is_shown_of_the_unknown_stays_a_line() -> None:
    words = [chr(0x4E00 + number) * 30 for number in range(20)]
    (line,) = [note for note in notes(" ".join(words)) if "lacks" in note]
    assert line.endswith("... and 12 more")
    assert len(line) < 400
