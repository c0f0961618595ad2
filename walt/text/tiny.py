"""A small T5 that is built offline: a Unigram tokenizer made from the captions, and seeded random weights.

It is never trained. Its purpose is to distinguish captions: each frequent word is one piece, a piece's embedding is
drawn from N(0, 1), and T5's initialisation keeps the residual stream close to it, so that word identity survives to the
output, which the last RMS norm scales to unit variance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from walt.text.config import TinyT5Config
from walt.text.encoder import TINY_FOLDER, hide_progress_bars

_WORD_START = "▁"
_SPECIAL = ("<pad>", "</s>", "<unk>")  # ids 0, 1, 2 as in T5
_CHARACTER_SCORE = -20.0  # far below any word: a known word is never spelled


def build_tiny_encoder(captions: Iterable[str], config: TinyT5Config, seed: int, folder: str | Path) -> None:
    """Write tokenizer and weights into ``folder/t5``; a pure function of the bag of captions, ``config`` and
    ``seed``."""
    folder = Path(folder) / TINY_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    hide_progress_bars()
    vocabulary = unigram_vocabulary(captions, config.vocabulary)
    # ``vocab_file=`` would silently give a tokenizer of four tokens
    T5Tokenizer(vocab=vocabulary, extra_ids=0).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        T5EncoderModel(tiny_architecture(config, len(vocabulary))).save_pretrained(folder)


def tiny_architecture(config: TinyT5Config, vocabulary: int) -> T5Config:
    """The tiny T5 with a vocabulary of that many pieces."""
    return T5Config(
        vocab_size=vocabulary, d_model=config.width, d_kv=config.width // config.heads, d_ff=2 * config.width,
        num_layers=config.layers, num_heads=config.heads, feed_forward_proj="gated-gelu", dropout_rate=0.0,
        pad_token_id=0, eos_token_id=1,
    )  # fmt: skip


def unigram_vocabulary(captions: Iterable[str], size: int) -> list[tuple[str, float]]:
    """At most ``size`` pieces with their log probabilities: whole words by frequency, and characters to spell the rest.

    The scores are the words' counts, not expectation maximisation over substrings: that is exact for whole words and
    gives the same vocabulary on every machine.
    """
    words = Counter(word for caption in captions for word in caption.split())
    characters = Counter(character for word, count in words.items() for character in word * count)
    total = sum(words.values()) or 1
    room = size - len(_SPECIAL)
    letters = [_WORD_START, *(letter for letter, _ in _by_count(characters))][: room // 2]
    pieces = [(_WORD_START + word, math.log(count / total)) for word, count in _by_count(words)][: room - len(letters)]
    taken = {piece for piece, _ in pieces}
    spelled = [(letter, _CHARACTER_SCORE) for letter in letters if letter not in taken]
    return [(special, 0.0) for special in _SPECIAL] + pieces + spelled


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    """Most frequent first, ties by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
