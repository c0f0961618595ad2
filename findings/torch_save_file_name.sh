#!/usr/bin/env bash
# torch.save writes the file's name into the file: the same weights under two names are two contents.
#
# Guess:  the bytes of a checkpoint depend on what is saved. Written to step-10.tmp and renamed, or copied to last.pt, or
#         saved twice, it has one SHA-256.
# Truth:  the archive's folder is called after the file (without its suffix), which stands in front of each member's name: the
#         same tensors saved as a.pt and b.pt differ, also in length where the names do. What stores by content (DVC, the
#         Hub, a registry) keeps both. Saved to an open file or a buffer the name is `archive`, and the bytes are equal.
# Seen:   torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import hashlib
import sys
import zipfile
from pathlib import Path

import torch

print("torch", torch.__version__)
weights = {"weight": torch.ones(3), "bias": torch.zeros(2)}


def by_name(path):
    torch.save(weights, path)
    return path


def by_file(path):
    with open(path, "wb") as file:
        torch.save(weights, file)
    return path


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


named = {name: digest(by_name(name)) for name in ("a.pt", "b.pt", "step-00000010.pt")}
again = digest(by_name("a.pt"))
opened = {name: digest(by_file(name)) for name in ("c.pt", "d.pt", "step-00000020.pt")}
for name, sha in {**named, **opened}.items():
    first = zipfile.ZipFile(name).namelist()[0]
    print(f"{name:18} {Path(name).stat().st_size:5} bytes  sha256 {sha}  first member {first}")
if again != named["a.pt"] or len(set(opened.values())) != 1:
    sys.exit("CHANGED: what it is compared with does not hold")
if len(set(named.values())) != len(named):
    sys.exit("CHANGED: the same weights under two names are the same bytes")
print("HOLDS: three names, three contents; through an open file one")
PY
