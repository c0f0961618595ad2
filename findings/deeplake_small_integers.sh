#!/usr/bin/env bash
# A column of Deep Lake with a declared type takes numbers that do not fit it, and keeps others.
#
# Guess:  deeplake.types.UInt8() and Int32() refuse 300, 2**40 and 1.7, as they refuse text; "strongly typed" is what the types are for.
# Truth:  they wrap and are cut off without a word: 300 in UInt8 is 44 and -1 is 255, 2**40 in Int32 is 0, 1.7 is 1, 16777217 in
#         Float32 is 16777216; in arrays of dtype uint8 the same. Text in a column of integers, and a number in a column of text, are
#         refused.
# Seen:   deeplake 4.7.4, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet deeplake==4.7.4 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import deeplake
import numpy as np

print("deeplake", deeplake.__version__, "numpy", np.__version__)
table = deeplake.create("table")
types = {
    "small": deeplake.types.UInt8(), "whole": deeplake.types.Int32(), "real": deeplake.types.Float32(),
    "text": deeplake.types.Text(), "array": deeplake.types.Array(dtype="uint8", dimensions=2),
}
for name, kind in types.items():
    table.add_column(name, kind)
row = {"small": 1, "whole": 1, "real": 1.0, "text": "a", "array": np.zeros((2, 2), np.uint8)}


def stored(name, value):
    """What comes back; None where the value is refused."""
    try:
        table.append({key: [value if key == name else other] for key, other in row.items()})
    except deeplake.InvalidColumnValueError:
        return None
    back = table[name][len(table) - 1]
    return back.item() if np.ndim(back) == 0 and isinstance(back, np.generic | np.ndarray) else back


cases = [("small", 300, 44), ("small", -1, 255), ("small", 7.9, 7), ("whole", 2**40, 0), ("whole", 1.7, 1), ("real", 16777217, 16777216.0)]
fit = [stored("small", 200) == 200, stored("whole", -5) == -5, stored("text", 5) is None, stored("whole", "12") is None]
found = [stored(name, value) for name, value, _ in cases]
arrays = [np.asarray(stored("array", np.full((2, 2), value))) for value in (300, 1.7)]
for (name, value, _), back in zip(cases, found):
    print(f"{name:5} {value}: {back}")
print("array 300 and 1.7:", [array.ravel().tolist() for array in arrays])
if not all(fit):
    sys.exit("CHANGED: what it is compared with does not hold")
if found != [wanted for _, _, wanted in cases] or not (arrays[0] == 44).all() or not (arrays[1] == 1).all():
    sys.exit("CHANGED: other numbers are stored, or they are refused")
print("HOLDS: no number is refused")
PY
