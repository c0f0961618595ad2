#!/usr/bin/env bash
# DuckDB's `using sample 10%` takes blocks of 2048 neighbouring rows: of a small table all or none.
#
# Guess:  a sample of 10% of 5000 clips is about 500 of them, from everywhere.
# Truth:  for a percentage the default method is `system`, which keeps or drops whole vectors of 2048 rows as they lie in the
#         table: of 5000 rows it gives 0, 904, 2048 or more, of 1000 mostly none and at times all. Rows of a table lie in the
#         order they were written, so a sample of clips is a few videos in one piece, and a mean over it, or a set held out by
#         it, is one of those. `10% (bernoulli)` draws each row by itself; a number of rows, `using sample 500 rows`, does
#         too.
# Seen:   duckdb 2.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet duckdb==2.0.1
venv/bin/python - <<'PY'
import sys

import duckdb

print("duckdb", duckdb.__version__)
duckdb.sql("create table clips as select i as clip, i // 100 as video from range(5000) t(i)")
duckdb.sql("create table few as select i as clip from range(1000) t(i)")


def sizes(table, sample, times=60):
    query = f"select count(*) from (select * from {table} using sample {sample})"
    return sorted(duckdb.sql(query).fetchall()[0][0] for _ in range(times))


seen = {sample: sizes("clips", sample) for sample in ("10%", "10% (system)", "10% (bernoulli)", "500 rows")}
for sample, found in seen.items():
    print(f"of 5000 rows {sample:16} 60 samples have {found[0]} to {found[-1]} rows: {sorted(set(found))[:8]}")
few = sizes("few", "10%", 100)
print("of 1000 rows 10%: numbers of rows", {number: few.count(number) for number in set(few)})
videos = {}
for sample in ("10%", "10% (bernoulli)"):
    query = f"select count(*), count(distinct video) from (select * from clips using sample {sample})"
    found = [row for row in (duckdb.sql(query).fetchall()[0] for _ in range(60)) if row[0]]
    videos[sample] = max(count / rows for rows, count in found), min(count for _, count in found)
    print(f"{sample:16} at least {videos[sample][1]} of 50 videos, where any")
even = seen["10% (bernoulli)"]
if not 350 < even[0] <= even[-1] < 650 or set(seen["500 rows"]) != {500} or videos["10% (bernoulli)"][1] < 45:
    sys.exit("CHANGED: what it is compared with does not hold")
blocks = {0, 904, 2048, 2952, 4096, 5000}
if not set(seen["10%"]) <= blocks or not set(few) <= {0, 1000} or 0 not in seen["10%"]:
    sys.exit(f"CHANGED: other numbers of rows: {set(seen['10%'])}, {set(few)}")
print("HOLDS: 10% of 5000 clips are blocks of 2048, or none")
PY
