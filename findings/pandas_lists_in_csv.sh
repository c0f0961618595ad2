#!/usr/bin/env bash
# A column of lists goes from Parquet by pandas to CSV and back, and each row's captions have become one.
#
# Guess:  pandas writes a list of texts into a CSV as Python would, ['a cat', 'one cat'], so that the usual
#         read_csv(..., converters={"captions": ast.literal_eval}) gives it back.
# Truth:  lists made in Python are written so. Those that pandas reads from Parquet are numpy arrays (as they are from
#         Polars' to_pandas and DuckDB's df), which are written without commas: ['a cat' 'one cat']. For Python that is
#         one text, 'a catone cat': no error, no warning, and a list of one is as it was. Arrays of more than 1000
#         texts are written with dots in their middle. dtype_backend="pyarrow" changes nothing; .map(list) before to_csv
#         helps.
# Seen:   pandas 3.1.1, numpy 2.4.6, pyarrow 25.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pandas==3.1.1 numpy==2.4.6 pyarrow==25.0.1
venv/bin/python - <<'PY'
import ast
import sys

import numpy
import pandas
import pyarrow
import pyarrow.parquet

captions = [["a cat", "one cat"], ["a dog"]]
table = pyarrow.table({"video": ["a.mp4", "b.mp4"], "captions": captions})
pyarrow.parquet.write_table(table, "clips.parquet")


def through_csv(frame):
    """What the captions are after the usual way through a CSV, and the first row of the file."""
    frame.to_csv("clips.csv", index=False)
    line = open("clips.csv").read().splitlines()[1]
    return pandas.read_csv("clips.csv", converters={"captions": ast.literal_eval})["captions"].tolist(), line


print("pandas", pandas.__version__, "numpy", numpy.__version__, "pyarrow", pyarrow.__version__)
made, line = through_csv(pandas.DataFrame({"video": ["a.mp4", "b.mp4"], "captions": captions}))
print("made in Python: ", line, "->", made)
read, line = through_csv(pandas.read_parquet("clips.parquet"))
print("read of Parquet:", line, "->", read)
frame = pandas.read_parquet("clips.parquet")
mapped, line = through_csv(frame.assign(captions=frame["captions"].map(list)))
print("with .map(list):", line, "->", mapped)
if made != captions or mapped != captions:
    sys.exit("CHANGED: lists of Python do not come back either")
if read == captions:
    sys.exit("CHANGED: lists read of Parquet come back")
if read != [["a catone cat"], ["a dog"]]:
    sys.exit(f"CHANGED: they come back as {read}")
print("HOLDS: two captions came back as one")
PY
