#!/usr/bin/env bash
# A seed makes SentencePiece's sampling repeatable text by text, and not for a list of texts.
#
# Guess:  after set_random_generator_seed(7) the same call gives the same pieces, whether it is encode(text) in a loop or
#         encode(texts).
# Truth:  the threads that share a list take texts as they come, each with random numbers of its own: which pieces a text gets
#         depends on which thread had time, and several calls of ten give others. By default there are as many threads as the
#         machine has processors. One text after the other is repeatable, and so is a list with num_threads=1.
# Seen:   sentencepiece 0.2.3
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet sentencepiece==0.2.3
venv/bin/python -W error::UserWarning - <<'PY'
import io
import random
import sys

import sentencepiece

print("sentencepiece", sentencepiece.__version__)
drawn = random.Random(0)
words = ["".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=drawn.randint(2, 8))) for _ in range(600)]
texts = [" ".join(drawn.choices(words, k=8)) for _ in range(2000)]
written = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=written, vocab_size=400, minloglevel=2)
pieces = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
some, how = texts[:1000], {"enable_sampling": True, "alpha": 0.1, "nbest_size": -1}


def repeated(name, encode):
    """How many of ten calls after the same seed give what the first one gave."""
    results = []
    for _ in range(11):
        sentencepiece.set_random_generator_seed(7)
        results.append(encode())
    same = sum(result == results[0] for result in results[1:])
    print(f"{name:26} {same} of 10 as the first")
    return same


alone = repeated("text by text", lambda: [pieces.encode(text, **how) for text in some])
one = repeated("a list, num_threads=1", lambda: pieces.encode(some, num_threads=1, **how))
repeated("a list, by default", lambda: pieces.encode(some, **how))
four = repeated("a list, num_threads=4", lambda: pieces.encode(some, num_threads=4, **how))
if alone != 10 or one != 10:
    sys.exit("CHANGED: what it is compared with does not hold")
if four == 10:
    sys.exit("CHANGED: a list is repeatable")
print("HOLDS: the same list after the same seed in other pieces")
PY
