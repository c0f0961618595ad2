#!/usr/bin/env bash
# ROUGE of two equal captions in Chinese or Russian is 0.
#
# Guess:  a text compared with itself scores 1 in whatever language; at least the words between spaces are compared.
# Truth:  rouge_score, which `evaluate` uses, and torchmetrics throw away all but a to z and 0 to 9 first. A caption without
#         these has no words and scores 0 with itself; of one that mixes, only the Latin words count, so "clip 1 кошка сидит"
#         and "clip 1 собака бежит" score 1; "café" is "caf". Neither warns. A captioner measured on several languages is
#         rated by its digits and brand names. torchmetrics takes a normalizer=, rouge_score a tokenizer=; the BLEU of
#         torchmetrics keeps the letters.
# Seen:   rouge_score 0.1.2, torchmetrics 1.9.0, torch 2.13.0
# Known:  https://github.com/huggingface/evaluate/issues/256
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet rouge_score==0.1.2 torchmetrics==1.9.0 torch==2.13.0
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

from rouge_score import rouge_scorer
from torchmetrics.functional.text import bleu_score, rouge_score

print("rouge_score", version("rouge_score"), "torchmetrics", version("torchmetrics"), "torch", version("torch"))
pairs = {
    "English, equal": ("a cat sits on a red table",) * 2,
    "Chinese, equal": ("一只猫坐在红色的桌子上",) * 2,
    "Russian, equal": ("кошка сидит на красном столе",) * 2,
    "mixed, different": ("clip 1 кошка сидит", "clip 1 собака бежит"),
    "accents, different": ("pâté", "p t"),
}
scorer = rouge_scorer.RougeScorer(["rouge1", "rougeL"])
seen = {}
for name, (predicted, target) in pairs.items():
    scores = rouge_score(predicted, target, rouge_keys=("rouge1", "rougeL"), accumulate="best")
    found = scorer.score(target, predicted)["rougeL"].fmeasure, float(scores["rougeL_fmeasure"])
    seen[name] = *(round(value, 3) for value in found), round(float(bleu_score([predicted], [[target]], n_gram=1)), 3)
    print(f"{name:20} ROUGE-L: rouge_score {seen[name][0]}, torchmetrics {seen[name][1]}; BLEU-1 {seen[name][2]}")
if seen["English, equal"][:2] != (1, 1) or any(seen[name][2] < 0.99 for name in pairs if "equal" in name):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[name][:2] != (0, 0) for name in ("Chinese, equal", "Russian, equal")):
    sys.exit(f"CHANGED: equal captions score {seen}")
if any(seen[name][:2] != (1, 1) for name in ("mixed, different", "accents, different")):
    sys.exit(f"CHANGED: different captions score {seen}")
print("HOLDS: equal captions score 0, different ones 1")
PY
