#!/usr/bin/env bash
# The same texts train another WordPiece vocabulary, and another Unigram file, in each process.
#
# Guess:  training a tokenizer draws nothing at random, so the same texts and settings give the same tokenizer.json; BPE
#         does.
# Truth:  hash maps with a random start decide ties and the order of sums. WordPiece: about a tenth of the pieces differ
#         from run to run and most ids move, so a model fits only the vocabulary that it was trained with. Unigram (T5's
#         kind): pieces and ids agree here, scores differ in their last digits, so the file's hash is another. There is
#         no seed to set.
# Seen:   tokenizers 0.23.3
# Known:  https://github.com/huggingface/tokenizers/issues/1794 (WordPiece)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tokenizers==0.23.3
cat > train.py <<'PY'
import json
import random

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

draw = random.Random(0)
words = ["".join(draw.choice("abcdefghij") for _ in range(draw.randint(2, 7))) for _ in range(300)]
texts = [" ".join(draw.choice(words) for _ in range(12)) for _ in range(400)]
kinds = {
    "BPE": (models.BPE, trainers.BpeTrainer(vocab_size=200, show_progress=False)),
    "Unigram": (models.Unigram, trainers.UnigramTrainer(vocab_size=200, show_progress=False, unk_token="<unk>", special_tokens=["<unk>"])),
    "WordPiece": (models.WordPiece, trainers.WordPieceTrainer(vocab_size=200, show_progress=False)),
}
trained = {}
for name, (model, trainer) in kinds.items():
    tokenizer = Tokenizer(model())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(texts, trainer)
    trained[name] = (tokenizer.get_vocab(), tokenizer.to_str())
print(json.dumps(trained))
PY
for run in 1 2 3 4 5 6; do venv/bin/python train.py > run$run.json; done
venv/bin/python - <<'PY'
import hashlib
import json
import sys
from importlib.metadata import version

print("tokenizers", version("tokenizers"))
runs = [json.load(open(f"run{number}.json")) for number in range(1, 7)]
files, pieces = {}, {}
for kind in ("BPE", "Unigram", "WordPiece"):
    files[kind] = [hashlib.md5(run[kind][1].encode()).hexdigest()[:8] for run in runs]
    vocabularies = [set(run[kind][0]) for run in runs]
    pieces[kind] = len(set.union(*vocabularies) - set.intersection(*vocabularies))
    moved = max(sum(run[kind][0].get(piece) != place for piece, place in runs[0][kind][0].items()) for run in runs)
    print(f"{kind:9} tokenizer.json {' '.join(files[kind])}  pieces not in all six: {pieces[kind]}  ids that move: {moved}")
if len(set(files["BPE"])) != 1:
    sys.exit("CHANGED: BPE differs too")
if len(set(files["WordPiece"])) == 1 or pieces["WordPiece"] == 0:
    sys.exit("CHANGED: WordPiece gives one vocabulary")
if len(set(files["Unigram"])) == 1 or pieces["Unigram"]:
    sys.exit("CHANGED: Unigram gives one file, or other pieces")
print("HOLDS: six runs give one BPE, several WordPiece vocabularies and several Unigram files")
PY
