#!/usr/bin/env bash
# sum, mean and max of a nested tensor made by torch.nested.narrow count what lies between its rows, too.
#
# Guess:  torch.nested.narrow(batch, 1, start, length, layout=torch.jagged) makes captions of their own lengths out of a padded batch,
#         and mean() is that of their numbers, or is refused, as mean(1) and to_padded_tensor are ("not supported ... with holes").
# Truth:  numel(), unbind() and what is done number by number know the rows alone; sum, mean, max, min and any over all of it, and
#         every loss made of them, take the padding in: the mean of 15 numbers is that of 24, and a NaN in the padding makes it
#         NaN. The gradient goes to the padding. nt.contiguous() first is right.
# Seen:   torch 2.13.0. Known in part: issue 196708 of pytorch/pytorch is about unbind() of such tensors with one or two rows.
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import torch

print("torch", torch.__version__)
warnings.filterwarnings("ignore", message="The PyTorch API of nested tensors is in prototype stage")
padded = torch.arange(1.0, 25.0).reshape(2, 4, 3)
padded[0, 2:], padded[1, 0] = 1000.0, 1000.0  # what a loader left there
start, length = torch.tensor([0, 1]), torch.tensor([2, 3])
captions = torch.nested.narrow(padded, 1, start, length, layout=torch.jagged)
rows = [padded[0, 0:2], padded[1, 1:4]]
numbers = torch.cat(rows)
if not all(torch.equal(found, row) for found, row in zip(captions.unbind(), rows)) or captions.numel() != numbers.numel():
    sys.exit("CHANGED: what it is compared with does not hold")
asked = {"sum": lambda x: x.sum(), "mean": lambda x: x.mean(), "max": lambda x: x.max(), "mean of squares": lambda x: (x * x).mean()}
wrong = {}
for name, ask in asked.items():
    found, right, copied = float(ask(captions)), float(ask(numbers)), float(ask(captions.contiguous()))
    print(f"{name:15} of {captions.numel()} numbers: {found:10.2f} instead of {right:8.2f}, after contiguous() {copied:8.2f}")
    if abs(copied - right) > 1e-3:
        sys.exit("CHANGED: what it is compared with does not hold")
    wrong[name] = abs(found - right) > 1
weights = padded.clone().requires_grad_()
torch.nested.narrow(weights, 1, start, length, layout=torch.jagged).mean().backward()
given = sum(int((weights.grad[row, place] != 0).all()) for row, place in ((0, 2), (0, 3), (1, 0)))
print("of 3 places in the padding", given, "get a gradient")
padded[0, 3] = float("nan")
print("with a NaN in the padding the mean is", float(captions.mean()))
try:
    captions.mean(1)
    sys.exit("CHANGED: mean(1) is not refused")
except RuntimeError as error:
    print("mean(1):", str(error)[:110])
if not all(wrong.values()) or given != 3 or captions.mean() == captions.mean():
    sys.exit("CHANGED: the padding is left out")
print("HOLDS: the padding is in the mean")
PY
