#!/usr/bin/env bash
# T5Tokenizer(vocab_file="spiece.model") has no vocabulary: every word of every caption is <unk>.
#
# Guess:  it reads the SentencePiece model, as it did in transformers 4 and as its name says, or refuses the argument.
# Truth:  since 5.0 the class wants vocab=[...]; vocab_file is taken with all other keywords and not read. The tokenizer has
#         pad, </s>, <unk>, "▁" and the extra ids; "a red cat" and "two blue dogs run" are <unk>s with "▁" before them. A text encoder
#         sees how many words a caption has and nothing else. from_pretrained of the folder with the same file is right.
# Seen:   transformers 5.23.0, sentencepiece 0.2.3
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet transformers==5.23.0 sentencepiece==0.2.3 protobuf==7.36.2 numpy==2.4.6
HF_HUB_OFFLINE=1 venv/bin/python - 2> messages.txt <<'PY' || { tail -n 3 messages.txt; exit 1; }
import os
import random
import sys
import warnings

import sentencepiece
import transformers
from transformers import T5Tokenizer

print("transformers", transformers.__version__, "sentencepiece", sentencepiece.__version__)
words = "a two red blue cat dogs run runs over the street in rain slowly camera moves left right house river fish".split()
draw = random.Random(0)
with open("captions.txt", "w") as file:
    file.writelines(" ".join(draw.choices(words, k=8)) + "\n" for _ in range(2000))
os.mkdir("t5")
sentencepiece.SentencePieceTrainer.train(
    input="captions.txt", model_prefix="t5/spiece", vocab_size=80, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
    hard_vocab_limit=False, minloglevel=2,
)
os.remove("t5/spiece.vocab")
plain = sentencepiece.SentencePieceProcessor(model_file="t5/spiece.model")
texts = ["a red cat", "two blue dogs", "a fish", "the camera moves left"]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    made = {"from_pretrained": T5Tokenizer.from_pretrained("t5", extra_ids=4), "vocab_file": T5Tokenizer(vocab_file="t5/spiece.model", extra_ids=4)}
seen = {name: [tokenizer(text, add_special_tokens=False).input_ids for text in texts] for name, tokenizer in made.items()}
seen["sentencepiece"] = [plain.encode(text) for text in texts]
for name, tokenizer in made.items():
    print(f"{name:16} {len(tokenizer)} tokens")
    for text in texts[:2]:
        print(f"{'':16} {text!r}: {tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)}")
about = [str(one.message) for one in said if "vocab" in str(one.message)]
with open("messages.txt") as file:
    about += [line for line in file if "vocab" in line]
print("warnings about it:", about)
if seen["from_pretrained"] != seen["sentencepiece"]:
    sys.exit("CHANGED: what it is compared with does not hold")
unknown = made["vocab_file"].unk_token_id
if about or seen["vocab_file"][0][1::2] != [unknown] * 3 or seen["vocab_file"][0] != seen["vocab_file"][1]:
    sys.exit(f"CHANGED: {seen['vocab_file']}, with warnings {about}")
print("HOLDS: 'a red cat' and 'two blue dogs' are equal")
PY
