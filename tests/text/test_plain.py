"""What reads like a tokenizer's own mark is text, and every other text stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers.normalizers import NFKC
from transformers import CLIPTokenizer, T5Tokenizer

from walt.text.plain import PlainText

_WORDS = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("▁red", -2.0), ("▁", -9.0)]


@pytest.fixture(scope="module")
def t5() -> T5Tokenizer:
    letters = [(letter, -20.0) for letter in "</>spadunkextri_0"]
    tokenizer = T5Tokenizer(vocab=[*_WORDS, *letters], extra_ids=2)
    tokenizer.backend_tokenizer.normalizer = NFKC()  # as in the one that T5 comes with, in essence
    return tokenizer


def _wide(mark: str) -> str:
    """In characters that T5's normalisation makes plain ones of."""
    return "".join(chr(ord(character) + 0xFEE0) for character in mark)


_MARKS = ["</s>", "<pad>", "<unk>", "<extra_id_0>"]


@pytest.mark.parametrize(
    ("mark", "written"),
    [(mark, mark) for mark in _MARKS] + [(mark, _wide(mark)) for mark in _MARKS[:3]],
    ids=[*_MARKS, *(f"{mark} in wide characters" for mark in _MARKS[:3])],
)
def test_marks_are_read_as_their_characters(t5: T5Tokenizer, mark: str, written: str) -> None:
    text = f"a red{written} a"
    assert t5.convert_tokens_to_ids(mark) in t5(text)["input_ids"][:-1], "else there is nothing to do"
    ids = t5(PlainText(t5)(text))["input_ids"]
    assert not set(t5.all_special_ids) - {t5.unk_token_id} & set(ids[:-1]), "but for what it has no character of"
    assert ids[:2] == t5("a red")["input_ids"][:-1]
    assert ids[-2:] == t5("a")["input_ids"]


@pytest.mark.parametrize(
    "text", ["", "a red circle", "a  red\u00a0circle ", "x < y > z", "<s> \uff46\uff55ll </ s>", "< /s>"]
)
def test_other_texts_stay_as_they_are(t5: T5Tokenizer, text: str) -> None:
    assert PlainText(t5)(text) == text


def test_a_mark_does_not_end_a_text_for_clip(tmp_path: Path) -> None:
    """It looks at the first end mark."""
    words = ["<|startoftext|>", "<|endoftext|>", "a", "a</w>", "b", "b</w>"]
    vocabulary, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
    merges.write_text("#version: 0.2\n")
    clip = CLIPTokenizer(str(vocabulary), str(merges))
    text = "a <|endoftext|> b"
    assert clip(text)["input_ids"] == [0, 3, 1, 5, 1]
    ids = clip(PlainText(clip)(text))["input_ids"]
    assert (ids[:2], ids[-2:]) == ([0, 3], [5, 1])
