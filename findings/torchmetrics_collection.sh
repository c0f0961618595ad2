#!/usr/bin/env bash
# MetricCollection makes two different metrics one when their first batch happens to count alike.
#
# Guess:  a collection of two metrics gives what the two give alone.
# Truth:  by default (compute_groups=True) metrics whose states are equal after the FIRST update share a state for good;
#         what they were constructed with is not compared. An easy first batch (all far from both thresholds) makes the
#         accuracy at 0.9 report the accuracy at 0.5 for the rest of the run. Which result is right depends on the order
#         of the data.
# Seen:   torchmetrics 1.9.0, torch 2.13.0
# Known:  https://github.com/Lightning-AI/torchmetrics/issues/2596 (metrics of one's own)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0
venv/bin/python - <<'PY'
import sys

import torch
import torchmetrics
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy

print("torch", torch.__version__, "torchmetrics", torchmetrics.__version__)
easy = (torch.tensor([0.01, 0.99]), torch.tensor([0, 1]))
hard = (torch.tensor([0.6, 0.7, 0.8]), torch.tensor([0, 0, 0]))  # wrong at 0.5, right at 0.9


def strict(batches):
    metric = BinaryAccuracy(threshold=0.9)
    for batch in batches:
        metric.update(*batch)
    return round(metric.compute().item(), 3)


def strict_in_collection(batches, **options):
    metrics = MetricCollection(
        {"loose": BinaryAccuracy(threshold=0.5), "strict": BinaryAccuracy(threshold=0.9)}, **options
    )
    for batch in batches:
        metrics.update(*batch)
    return round(metrics.compute()["strict"].item(), 3)


alone = strict([easy, hard])
easy_first = strict_in_collection([easy, hard])
hard_first = strict_in_collection([hard, easy])
apart = strict_in_collection([easy, hard], compute_groups=False)
print("accuracy at 0.9, alone:", alone)
print("in a collection, easy batch first:", easy_first, " hard batch first:", hard_first, " compute_groups=False:", apart)
if (alone, hard_first, apart) != (1.0, 1.0, 1.0):
    sys.exit("CHANGED: what it is compared with does not hold")
if easy_first != 0.4:
    sys.exit("CHANGED: the collection keeps the two apart")
print("HOLDS: in the collection the accuracy at 0.9 is that at 0.5, because of the first batch")
PY
