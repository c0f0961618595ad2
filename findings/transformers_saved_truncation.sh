#!/usr/bin/env bash
# A tokenizer that was called once with a length cuts and pads all texts after it was saved.
#
# Guess:  truncation=True, max_length=3 is an argument of one call: what save_pretrained writes does not depend on what
#         was tokenized before.
# Truth:  fast tokenizers of transformers set it on the tokenizer behind them, and the last call's truncation and
#         padding are written into tokenizer.json. transformers itself resets them with each call, so loaded by it all
#         looks well; `tokenizers.Tokenizer.from_file`, and what else reads that file (servers, other languages), cuts
#         every text at 3 tokens and pads shorter ones, without a word.
# Seen:   transformers 5.23.0, tokenizers 0.23.3
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export HF_HUB_OFFLINE=1
venv/bin/pip install --quiet transformers==5.23.0 tokenizers==0.23.3
venv/bin/python - <<'PY'
import json
import sys

import tokenizers
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

print("transformers", transformers.__version__, "tokenizers", tokenizers.__version__)
text = "a red kite flies over the wide beach today"
words = {word: number for number, word in enumerate(f"[UNK] [PAD] {text}".split())}


def made():
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]", pad_token="[PAD]")


seen = {}
for name, last in (("never", {}), ("called", {"truncation": True, "max_length": 3, "padding": "max_length"})):
    tokenizer = made()
    tokenizer([text], **last)
    tokenizer.save_pretrained(name)
    stored = json.load(open(f"{name}/tokenizer.json"))
    alone = Tokenizer.from_file(f"{name}/tokenizer.json")
    again = PreTrainedTokenizerFast.from_pretrained(name)
    seen[name] = (len(alone.encode(text).ids), len(alone.encode("a").ids), len(again(text)["input_ids"]))
    print(f"{name:7} truncation in the file: {stored['truncation']}")
    print(f"        tokens by tokenizers: {alone.encode(text).tokens}, of 'a': {alone.encode('a').tokens}")
    print(f"        tokens by transformers: {seen[name][2]}")
if seen["never"] != (9, 1, 9):
    sys.exit(f"CHANGED: without such a call {seen['never']}")
if seen["called"] == (9, 1, 9):
    sys.exit("CHANGED: a call leaves nothing in the file")
if seen["called"] != (3, 3, 9):
    sys.exit(f"CHANGED: {seen['called']}")
print("HOLDS: the length of the last call cuts and pads whoever reads tokenizer.json")
PY
