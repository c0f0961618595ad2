"""Captions are text: a tokenizer's own marks, such as ``</s>`` or ``<pad>``, are read as their characters."""

from __future__ import annotations

import re
from typing import Any


class PlainText:
    """Takes the marks of one tokenizer out of a text, and leaves every other text as it is.

    ``split_special_tokens=True`` of transformers 5.23 does not do it for T5: the tokenizer's Unigram model has the
    marks as pieces of its vocabulary, and finds them also in what its normalisation makes of other characters.
    SentencePiece, with which T5 was trained, never finds a mark in a text.
    """

    def __init__(self, tokenizer: Any) -> None:
        marks = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        marks |= {str(mark) for mark in tokenizer.all_special_tokens}
        longest_first = sorted(marks, key=lambda mark: (-len(mark), mark))
        self._marks = re.compile("|".join(map(re.escape, longest_first))) if marks else None
        self._normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)

    def __call__(self, text: str) -> str:
        """The text; where it has a mark, or normalisation would make one, normalised and with a space after the first
        character of each."""
        if self._marks is None:
            return text
        normalized = text if self._normalizer is None else self._normalizer.normalize_str(text)
        if not self._marks.search(text) and not self._marks.search(normalized):
            return text
        return self._marks.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", normalized)
