#!/usr/bin/env bash
# numpy's default_rng([seed, 0]) is default_rng(seed): zeros at the end of a seed's list count for nothing.
#
# Guess:  a list of numbers is the recommended way to give each (seed, epoch, worker) its own stream, so lists that differ
#         give streams that differ, also from that of the bare seed.
# Truth:  the list is laid out as 32-bit words and filled up with zeros to four of them. [7], [7, 0], [7, 0, 0, 0] and 7 are one
#         stream, and so are 7 + 2**32 and [7, 1]: what epoch 0, worker 0 or sample 0 draws by [seed, epoch, index] is what
#         the split or the noise drew from default_rng(seed). A zero in front counts, and one behind four words: spawn()
#         puts its number there, so its streams are apart from those of lists of up to four words.
# Seen:   numpy 2.4.6 (SeedSequence)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import numpy as np

print("numpy", np.__version__)
seeds = (7, [7], [7, 0], [7, 0, 0, 0], [7, 0, 0, 0, 0], [0, 7], [7, 1], 7 + 2**32)
drawn = {str(seed): np.random.default_rng(seed).integers(0, 10**6, 3).tolist() for seed in seeds}
drawn["spawned"] = np.random.default_rng(7).spawn(1)[0].integers(0, 10**6, 3).tolist()
for seed, numbers in drawn.items():
    print(f"{seed:16} {numbers}")
if not drawn["7"] == drawn["[7]"] == drawn["[7, 0]"] == drawn["[7, 0, 0, 0]"]:
    sys.exit("CHANGED: [7, 0] is another stream than 7")
if drawn["[7, 1]"] != drawn[str(7 + 2**32)]:
    sys.exit("CHANGED: [7, 1] is another stream than 7 + 2**32")
if drawn["7"] in (drawn["[0, 7]"], drawn["[7, 1]"], drawn["spawned"], drawn["[7, 0, 0, 0, 0]"]):
    sys.exit("CHANGED: what it is compared with does not hold")
images = np.random.default_rng([7, 0]).permutation(1000)  # epoch 0 of an order keyed by (seed, epoch)
held_out = np.random.default_rng(7).permutation(1000)  # a split by the seed alone
if not (images == held_out).all():
    sys.exit("CHANGED: permutations differ")
print("HOLDS: the order of epoch 0 is the permutation that made the split")
PY
