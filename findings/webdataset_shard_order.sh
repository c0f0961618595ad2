#!/usr/bin/env bash
# webdataset's shardshuffle without a seed gives one order of the shards for all epochs.
#
# Guess:  WebDataset(urls, shardshuffle=N) without a seed shuffles the shards anew in each epoch; detshuffle=True gives
#         another, reproducible order in each epoch, in a DataLoader's workers as in the process itself.
# Truth:  the unseeded order is drawn once, when the dataset is made, and repeats in every epoch. detshuffle=True counts
#         epochs in the object, and a DataLoader's workers start from a fresh copy in each epoch: the order repeats
#         there (it changes in the process itself, where one tries it out).
# Seen:   webdataset 1.0.2, torch 2.13.0
# Known:  https://github.com/webdataset/webdataset/pull/502, https://github.com/webdataset/webdataset/issues/172
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet webdataset==1.0.2 torch==2.13.0
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import webdataset
from torch.utils.data import DataLoader

print("webdataset", version("webdataset"), "torch", version("torch"))
urls = [f"{letter}.tar" for letter in "abcdefgh"]
for url in urls:
    with webdataset.TarWriter(url) as tar:
        tar.write({"__key__": url[0], "txt": "text"})


def orders(loader, epochs=4):
    return ["".join(sample["__key__"] for sample in loader) for _ in range(epochs)]


seen = {}
for name, options in (("shardshuffle=8", {}), ("shardshuffle=8, detshuffle=True", {"detshuffle": True})):
    dataset = webdataset.WebDataset(urls, shardshuffle=8, **options)
    seen[name, "process"] = orders(dataset)
    seen[name, "worker"] = orders(DataLoader(dataset, batch_size=None, num_workers=1))
    for place in ("process", "worker"):
        print(f"{name:32} in the {place}: epochs {seen[name, place]}")
again = [orders(webdataset.WebDataset(urls, shardshuffle=8), 1)[0] for _ in range(4)]
print("four datasets, one epoch each:", again)
distinct = {key: len(set(value)) for key, value in seen.items()}
if distinct["shardshuffle=8", "process"] != 1 or distinct["shardshuffle=8", "worker"] != 1:
    sys.exit("CHANGED: without a seed the order of the shards differs between epochs")
if distinct["shardshuffle=8, detshuffle=True", "worker"] != 1:
    sys.exit("CHANGED: detshuffle differs between epochs in a worker")
if distinct["shardshuffle=8, detshuffle=True", "process"] == 1 or len(set(again)) == 1:
    sys.exit("CHANGED: what it is compared with does not hold")
print("HOLDS: one order of the shards for all epochs, drawn when the dataset is made")
PY
