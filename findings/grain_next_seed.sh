#!/usr/bin/env bash
# In grain the runs with seeds 0, 1 and 2 have the same orders and the same random numbers, one place apart.
#
# Guess:  another seed is another order of the samples in each epoch, and other augmentations.
# Truth:  the order of an epoch is made of seed + epoch: the second epoch with seed 0 is the first one with seed 1, in
#         MapDataset.shuffle as well as in the IndexSampler of the DataLoader; ten runs with seeds 0 to 9 over ten epochs have
#         19 orders and not 100. The numbers that a RandomMap transform of a DataLoader gets are made of seed + place: the
#         sample at place 5 of the run with seed 0 is augmented with what that at place 4 has with seed 1. So runs that shall
#         tell the spread are no independent ones. Seeds far apart are; so is ds.seed(0).shuffle(), which derives its own.
# Seen:   grain 0.2.18, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet grain==0.2.18 numpy==2.4.6
cat > seeds.py <<'PY'
import sys
from importlib.metadata import version

import grain.python as grain

print(*(f"{name} {version(name)}" for name in ("grain", "numpy")))
SAMPLES, EPOCHS, SEEDS = 20, 5, 5


def shuffled(seed):
    """The orders of a run's epochs."""
    order = grain.MapDataset.range(SAMPLES).shuffle(seed=seed).repeat(EPOCHS)
    return [tuple(int(order[epoch * SAMPLES + place]) for place in range(SAMPLES)) for epoch in range(EPOCHS)]


def derived(seed):
    order = grain.MapDataset.range(SAMPLES).seed(seed).shuffle().repeat(EPOCHS)
    return [tuple(int(order[epoch * SAMPLES + place]) for place in range(SAMPLES)) for epoch in range(EPOCHS)]


class Draw(grain.RandomMapTransform):
    """The sample with what it is augmented with."""

    def random_map(self, sample, rng):
        return int(sample), int(rng.integers(2**40))


def loaded(seed):
    """The orders of a DataLoader's epochs, and all that was drawn, place by place."""
    sampler = grain.IndexSampler(SAMPLES, shuffle=True, num_epochs=EPOCHS, seed=seed, shard_options=grain.NoSharding())
    loader = grain.DataLoader(data_source=range(SAMPLES), sampler=sampler, operations=[Draw()], worker_count=0)
    samples, numbers = zip(*loader, strict=True)
    return [samples[start : start + SAMPLES] for start in range(0, len(samples), SAMPLES)], list(numbers)


by_shuffle = [shuffled(seed) for seed in range(SEEDS)]
by_seed = [derived(seed) for seed in range(SEEDS)]
by_loader, numbers = zip(*(loaded(seed) for seed in range(SEEDS)), strict=True)
ways = {"shuffle(seed=n)": by_shuffle, "seed(n).shuffle()": by_seed, "DataLoader, IndexSampler": by_loader}
different = {name: len({epoch for run in runs for epoch in run}) for name, runs in ways.items()}
for name, count in different.items():
    print(f"{name:25} {SEEDS} runs of {EPOCHS} epochs have {count} orders")
for seed in (0, 1):
    print(f"seed {seed}, epochs 1 and 2: {by_shuffle[seed][0][:8]} .. {by_shuffle[seed][1][:8]} ..")
    print(f"seed {seed}, drawn at places 0 to 3: {numbers[seed][:4]}")
drawn = len({number for run in numbers for number in run})
print(f"drawn {SEEDS * EPOCHS * SAMPLES} times: {drawn} different numbers")
if different["seed(n).shuffle()"] != SEEDS * EPOCHS or any(len(set(run)) != len(run) for run in numbers):
    sys.exit("CHANGED: what it is compared with does not hold")
if different["shuffle(seed=n)"] != SEEDS + EPOCHS - 1 or by_shuffle[0][1:] != by_shuffle[1][:-1]:
    sys.exit("CHANGED: shuffle's orders of neighbouring seeds are different")
if different["DataLoader, IndexSampler"] != SEEDS + EPOCHS - 1:
    sys.exit("CHANGED: the sampler's orders of neighbouring seeds are different")
if numbers[0][1:] != numbers[1][:-1]:
    sys.exit("CHANGED: the numbers of neighbouring seeds are different")
print(f"HOLDS: {different['shuffle(seed=n)']} orders of {SEEDS * EPOCHS}, {drawn} numbers of {SEEDS * EPOCHS * SAMPLES}")
PY
venv/bin/python seeds.py
