#!/usr/bin/env bash
# Text by which a Parquet dataset is partitioned comes back as numbers, and two videos as one.
#
# Guess:  a table that is written with partition_cols=["video"] and read again has the same values in that column: it
#         was text, and the files keep the table's schema.
# Truth:  the column is in the folders' names alone (video=001), and PyArrow guesses its type from them, over all
#         folders: where all look like whole numbers it becomes int32. "001" and "1" are both 1 then, joins with the
#         original ids find nothing or the wrong rows, and a folder more ("a1") makes all of them text again. So it is
#         with Polars; pandas stops where two become one ("Categorical categories must be unique"), and else gives
#         numbers. DuckDB keeps text. A partitioning with a schema is the way out.
# Seen:   pyarrow 25.0.1, pandas 3.1.1, polars 2.1.0, duckdb 2.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==25.0.1 pandas==3.1.1 polars==2.1.0 duckdb==2.0.1
venv/bin/python - <<'PY'
import sys

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print("pyarrow", pa.__version__, "pandas", pandas.__version__, "polars", polars.__version__, "duckdb", duckdb.__version__)


def written(videos, folder):
    """A dataset of one row a video, partitioned by it."""
    table = pa.table({"video": videos, "row": list(range(len(videos)))})
    pq.write_to_dataset(table, folder, partition_cols=["video"])
    return folder


def by_pandas(folder):
    try:
        return pandas.read_parquet(folder).sort_values("row")["video"].tolist()
    except ValueError as error:
        return str(error)


def read(folder):
    """The values of the column, by row, as each library reads them."""
    query = f"select row, video from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    lazy = polars.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True)
    return {
        "pyarrow": [row["video"] for row in pq.read_table(folder).sort_by("row").to_pylist()],
        "pandas": by_pandas(folder),
        "polars": lazy.sort("row").collect()["video"].to_list(),
        "duckdb": [video for _, video in duckdb.sql(f"{query} order by row").fetchall()],
    }


alone, beside = read(written(["001", "1", "20"], "numbers")), read(written(["001", "1", "a1"], "mixed"))
apart = by_pandas(written(["001", "20"], "apart"))
for name, values in alone.items():
    print(f"{name:8} of '001', '1', '20': {values!s:38} of '001', '1', 'a1': {beside[name]}")
print("pandas   of '001', '20':", apart)
schema = ds.partitioning(pa.schema([("video", pa.string())]), flavor="hive")
stated = pq.read_table("numbers", partitioning=schema).sort_by("row")["video"].to_pylist()
print("pyarrow with a schema:", stated)
if stated != ["001", "1", "20"]:
    sys.exit("CHANGED: a schema does not help")
if any(values != ["001", "1", "a1"] for values in beside.values()):
    sys.exit("CHANGED: other text does not come back as it was either")
said = "Categorical categories must be unique"
if alone != {"pyarrow": [1, 1, 20], "pandas": said, "polars": [1, 1, 20], "duckdb": ["001", "1", "20"]}:
    sys.exit(f"CHANGED: {alone}")
if apart != [1, 20]:
    sys.exit(f"CHANGED: pandas gives {apart}")
print("HOLDS: the videos '001' and '1' are one number in PyArrow and Polars")
PY
