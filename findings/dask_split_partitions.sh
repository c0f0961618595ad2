#!/usr/bin/env bash
# Parts of what Dask's random_split held out for the test are rows of the training.
#
# Guess:  with random_state the two frames of random_split([0.9, 0.1]) are what they are: test.tail(), test.partitions[7] and
#         test.loc[5000:] show rows of the test, as test.compute() does.
# Truth:  the choice of partitions is moved in front of the split, and partitions draw by their place among those that are
#         left: each but the first is split anew by another partition's seed. Nine tenths of the rows of tail(), of
#         partitions[7], of get_partition(7) and of loc[5000:] are in train.compute(). The same for sample(). compute(),
#         itertuples(), to_delayed(), a filter by values and to_parquet agree with each other, and all do after persist().
# Seen:   dask 2026.8.0, pandas 3.1.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet "dask[dataframe]==2026.8.0" pandas==3.1.1 pyarrow==25.0.1
venv/bin/python - <<'PY'
import sys

import dask
import dask.dataframe as dd
import pandas as pd

print("dask", dask.__version__, "pandas", pd.__version__)
parts = dd.from_pandas(pd.DataFrame({"clip_id": range(10_000)}), npartitions=10)
train, test = parts.random_split([0.9, 0.1], random_state=0)
held, trained = set(test.compute()["clip_id"]), set(train.compute()["clip_id"])
kept = test.persist()
looks = {
    "a filter": test[test["clip_id"] >= 5000].compute(),
    "to_delayed()": pd.concat(part.compute() for part in test.to_delayed()),
    "persist().tail(50)": kept.tail(50),
    "persist().partitions[7]": kept.partitions[7].compute(),
    "tail(50)": test.tail(50),
    "partitions[7]": test.partitions[7].compute(),
    "get_partition(7)": test.get_partition(7).compute(),
    "loc[5000:]": test.loc[5000:].compute(),
    "all partitions, one by one": pd.concat(part.compute() for part in test.partitions),
}
print("rows of both, computed whole:", len(held & trained), "of", len(held), "and", len(trained))
shares = {}
for name, rows in looks.items():
    shares[name] = len(set(rows["clip_id"]) & trained) / len(rows)
    print(f"test.{name:26} {len(rows):4} rows, {shares[name]:4.0%} of them in train")
drawn = parts.sample(frac=0.1, random_state=0)
ends = len(set(drawn.tail(50)["clip_id"]) & set(drawn.compute()["clip_id"]))
print("rows of sample().tail(50) that are in sample().compute():", ends)
if held & trained or any(shares.pop(name) for name in list(looks)[:4]):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(share < 0.5 for share in shares.values()) or ends > 25:
    sys.exit("CHANGED: partitions of a split are those of the whole")
print("HOLDS: most of what these show of the test is training")
PY
