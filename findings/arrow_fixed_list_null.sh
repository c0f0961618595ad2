#!/usr/bin/env bash
# A Parquet table of embeddings in which one is missing is written without a word, and pyarrow cannot read it again.
#
# Guess:  what pq.write_table takes, pq.read_table gives back: a fixed-size list (an embedding, a box, a pose) may be null, as a
#         number or a list of any length may be.
# Truth:  the file is written, whatever the type of the elements, and reading it ends with "Expected all lists to be of size=2 but
#         index 2 had size=0". So it does for ParquetFile, for Hugging Face's datasets (also for what it wrote itself), and for
#         what Polars wrote from its Array type. Nothing is lost: Polars and DuckDB read the same files, nulls and all, and so does
#         pyarrow where the file was written with store_schema=False (then as lists of any length). Feather keeps both.
# Seen:   pyarrow 25.0.1, polars 2.1.0, duckdb 2.0.1, datasets 5.2.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==25.0.1 polars==2.1.0 duckdb==2.0.1 datasets==5.2.0
HF_HOME=$work venv/bin/python - 2>/dev/null <<'PY'
import sys

import datasets
import duckdb
import polars
import pyarrow as pa
from pyarrow import feather, parquet

print("pyarrow", pa.__version__, "polars", polars.__version__, "duckdb", duckdb.__version__, "datasets", datasets.__version__)
ROWS = [[1.0, 2.0], None, [3.0, 4.0]]


def read(what, name):
    try:
        found = what(name)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    return found


def by_pyarrow(name):
    return parquet.read_table(name)["e"].to_pylist()


def by_datasets(name):
    return datasets.Dataset.from_parquet(name)["e"][:]


seen = {}
for kind in (pa.float32(), pa.float16(), pa.int8()):
    for rows in (ROWS, [ROWS[0], ROWS[2]]):
        parquet.write_table(pa.table({"e": pa.array(rows, pa.list_(kind, 2))}), "a.parquet")
        seen[str(kind), len(rows)] = read(by_pyarrow, "a.parquet")
        print(f"{kind}, {'one is null' if None in rows else 'none is null'}: {seen[str(kind), len(rows)]}")
table = pa.table({"e": pa.array(ROWS, pa.list_(pa.float32(), 2))})
parquet.write_table(table, "a.parquet")
parquet.write_table(table, "plain.parquet", store_schema=False)
feather.write_feather(table, "a.feather")
polars.DataFrame({"e": ROWS}, schema={"e": polars.Array(polars.Float32, 2)}).write_parquet("polars.parquet")
features = datasets.Features({"e": datasets.List(datasets.Value("float32"), length=2)})
datasets.Dataset.from_dict({"e": ROWS}, features=features).to_parquet("datasets.parquet")
refused = {
    "pyarrow, of Polars'": read(by_pyarrow, "polars.parquet"),
    "pyarrow, of datasets'": read(by_pyarrow, "datasets.parquet"),
    "datasets, of its own": read(by_datasets, "datasets.parquet"),
}
fine = {
    "pyarrow, store_schema=False": read(by_pyarrow, "plain.parquet"),
    "Feather": feather.read_table("a.feather")["e"].to_pylist(),
    "Polars": read(lambda name: polars.read_parquet(name)["e"].to_list(), "a.parquet"),
    "DuckDB": read(lambda name: [row[0] and list(row[0]) for row in duckdb.sql(f"select * from '{name}'").fetchall()], "a.parquet"),
}
for name, found in {**refused, **fine}.items():
    print(f"{name}: {found}")
if any(seen[kind, 2] != [ROWS[0], ROWS[2]] for kind, _ in seen) or any(found != ROWS for found in fine.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if any("Expected all lists to be of size=2" not in str(found) for (_, count), found in seen.items() if count == 3):
    sys.exit("CHANGED: pyarrow reads a null among fixed-size lists")
if any(isinstance(found, list) for found in refused.values()):
    sys.exit("CHANGED: others' files with such a null can be read")
print("HOLDS: one missing embedding, and pyarrow reads no row of the table that it wrote")
PY
