#!/usr/bin/env bash
# A left join of Polars keeps the rows' order for DataFrames, and mixes it for LazyFrames of the same rows.
#
# Guess:  how="left" gives the left frame's rows in their order, as in pandas, and lazy() ... collect() gives what the DataFrame gives.
# Truth:  DataFrames keep the order. A left (or inner) join of LazyFrames, read by scan_parquet or made of the same DataFrames,
#         leaves next to no row in its place, of 1000 rows as of 600 000: features or latents stored by row number belong to
#         other clips. The order is not promised (maintain_order is "none"); maintain_order="left" keeps it.
# Seen:   polars 2.1.0, numpy 2.4.6, two cores
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet polars==2.1.0 numpy==2.4.6
POLARS_MAX_THREADS=4 venv/bin/python - <<'PY'
import sys

import numpy as np
import polars as pl

print("polars", pl.__version__)
random = np.random.default_rng(0)
ROWS, SOURCES = 600_000, 50
clips = pl.DataFrame({"clip": np.arange(ROWS), "source": random.integers(0, SOURCES, ROWS), "score": random.random(ROWS)})
sources = pl.DataFrame({"source": np.arange(SOURCES), "licence": np.arange(SOURCES) % 3})
clips.write_parquet("clips.parquet", row_group_size=10_000)
sources.write_parquet("sources.parquet")


def moved(left, right, **how):
    """How many of the joined rows are not where they were."""
    joined = left.join(right, on="source", **how)
    rows = joined.collect() if isinstance(joined, pl.LazyFrame) else joined
    if rows["clip"].sort().to_list() != list(range(len(rows))) or len(rows) not in (1000, ROWS):
        sys.exit("CHANGED: a join loses rows")
    return int((rows["clip"].to_numpy() != np.arange(len(rows))).sum())


scanned = pl.scan_parquet("clips.parquet"), pl.scan_parquet("sources.parquet")
kept = {
    "DataFrames": moved(clips, sources, how="left"),
    'scan_parquet, maintain_order="left"': moved(*scanned, how="left", maintain_order="left"),
}
mixed = {f"scan_parquet, how={how!r}": moved(*scanned, how=how) for how in ("left", "inner")}
mixed["LazyFrames of DataFrames"] = moved(clips.lazy(), sources.lazy(), how="left")
mixed["LazyFrames of 1000 rows"] = moved(clips.head(1000).lazy(), sources.lazy(), how="left")
for case, count in (kept | mixed).items():
    print(f"{case:36} {count} rows in other places")
if any(kept.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if not all(mixed.values()):
    sys.exit("CHANGED: rows stay where they were")
print("HOLDS: a left join of LazyFrames moves rows")
PY
