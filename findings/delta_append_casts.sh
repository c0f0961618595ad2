#!/usr/bin/env bash
# Delta Lake in Python: numbers with a fraction that are appended to a column of integers lose it.
#
# Guess:  a write whose schema is another is refused: "schema enforcement" is what Delta is known for, and schema_mode="merge" or
#         "overwrite" is what one says to change it.
# Truth:  write_deltalake(mode="append") casts to the table's types. 1.7 and -1.7 in a column of integers become 1 and -1, times of
#         1 764 412 345.25 s in a float32 column become 1 764 412 288, text "12" becomes the number 12, and a date in a column of
#         text its text, all without a word. What cannot be cast (an integer over 2**31 to 32 bits, "a cat" to a number) and
#         columns that the table does not have are refused.
# Seen:   deltalake 1.6.6, pyarrow 25.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet deltalake==1.6.6 pyarrow==25.0.1
venv/bin/python - <<'PY'
import sys
import warnings
from datetime import date

import deltalake
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

print("deltalake", deltalake.__version__, "pyarrow", pa.__version__)


def appended(kind, values):
    """What a column of this type holds after values of another type were appended to it."""
    name = f"{kind}_{len(str(values))}_{type(values[0]).__name__}_{abs(hash(str(values)))}"
    write_deltalake(name, pa.table({"x": pa.array([], kind)}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            write_deltalake(name, pa.table({"x": pa.array(values)}), mode="append")
        except Exception as error:
            found = f"refused: {str(error).strip()[:70]}"
        else:
            found = DeltaTable(name).to_pyarrow_table()["x"].to_pylist()
    print(f"{str(values):32} appended to {str(kind):6} -> {found}")
    return found


fractions = appended(pa.int32(), [1.7, -1.7, 3.0])
times = appended(pa.float32(), [1764412345.25, 1764412345.29])
texts = appended(pa.int32(), ["12", "7"])
dates = appended(pa.string(), [date(2026, 11, 29)])
wide = appended(pa.int32(), [2**31 + 5])
words = appended(pa.int32(), ["a cat"])
if not all(isinstance(found, str) and found.startswith("refused") for found in (wide, words)):
    sys.exit("CHANGED: what cannot be cast is taken")
if isinstance(fractions, str) or isinstance(times, str):
    sys.exit("CHANGED: another type is refused")
if fractions != [1, -1, 3] or times != [1764412288.0, 1764412288.0]:
    sys.exit("CHANGED: the numbers are others")
if texts != [12, 7] or dates != ["2026-11-29"]:
    sys.exit("CHANGED: texts and dates are others")
print("HOLDS: 1.7 is appended as 1")
PY
