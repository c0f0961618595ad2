#!/usr/bin/env bash
# torch.export leaves seeds out: a program draws from the generator of its example, and the one it is given is not used.
#
# Guess:  a module that draws its noise from torch.Generator().manual_seed(7) gives, exported, the same noise in each call; one that
#         takes a generator as an argument uses the one that it is given, or the export is refused, as it is with strict=True.
# Truth:  the generator that the example met is a constant of the program, and setting its seed is no part of it: the second call goes
#         on where the first one ended. A generator given as an argument is not looked at: equal seeds give different noise,
#         different ones what comes next, and the caller's generator does not move. torch.manual_seed in the module is left out,
#         too. No warning.
# Seen:   torch 2.13.0
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
from torch import nn

print("torch", torch.__version__)
warnings.simplefilter("error", UserWarning)


class Own(nn.Module):
    def forward(self, latent):
        return latent + torch.randn(latent.shape, generator=torch.Generator().manual_seed(7))


class Given(nn.Module):
    def forward(self, latent, generator):
        return latent + torch.randn(latent.shape, generator=generator)


class Seeded(nn.Module):
    def forward(self, latent):
        torch.manual_seed(7)
        return latent + torch.randn(latent.shape)


latent = torch.zeros(3)


def seed(number):
    return torch.Generator().manual_seed(number)


def same(first, second):
    return torch.equal(first, second)


def row(numbers):
    return [round(number, 3) for number in numbers.tolist()]


wrong = []
for module in (Own(), Seeded()):
    program = torch.export.export(module, (latent,)).module()
    eager, exported = [module(latent) for _ in range(2)], [program(latent) for _ in range(2)]
    print(f"{type(module).__name__:6} eager {row(eager[0])} {row(eager[1])}, exported {row(exported[0])} {row(exported[1])}")
    if not same(*eager):
        sys.exit("CHANGED: what it is compared with does not hold")
    wrong.append(not same(*exported))
module = Given()
program = torch.export.export(module, (latent, seed(1))).module()
eager, exported = [module(latent, seed(7)) for _ in range(2)], [program(latent, seed(7)) for _ in range(2)]
print(f"Given  eager {row(eager[0])} {row(eager[1])}, exported {row(exported[0])} {row(exported[1])}")
handed = seed(7)
program(latent, handed)
still = same(handed.get_state(), seed(7).get_state())
print("the caller's generator has moved:", not still)
try:
    torch.export.export(Own(), (latent,), strict=True)
    sys.exit("CHANGED: strict=True takes a generator")
except Exception as error:
    print("strict=True:", str(error).splitlines()[0])
if not same(*eager):
    sys.exit("CHANGED: what it is compared with does not hold")
if not all(wrong) or same(*exported) or not still:
    sys.exit("CHANGED: seeds are kept")
print("HOLDS: equal seeds give different noise")
PY
