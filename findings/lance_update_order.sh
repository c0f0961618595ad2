#!/usr/bin/env bash
# An update of one row in Lance moves it to the end: take([n]) is another row.
#
# Guess:  dataset.update({"caption": ...}, where="id = 2") changes a value; the rows stay where they are, and take([2]), by which
#         a trainer reads samples, is the row that it was.
# Truth:  the row is deleted and written again behind all others, by update and by merge_insert, and those after it move up by
#         one. The number of rows is as before. Features, splits or a resumed order that are kept as row numbers point to
#         other samples; nothing but the version says so. delete() moves rows, too; add_columns and compact_files do not.
# Seen:   pylance 14.0.2, pyarrow 25.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pylance==14.0.2 pyarrow==25.0.1
venv/bin/python - <<'PY'
import sys

import lance
import pyarrow as pa

print("pylance", lance.__version__, "pyarrow", pa.__version__)
rows = pa.table({"id": list(range(6)), "caption": [f"clip {number}" for number in range(6)]})


def changed(name, change):
    lance.write_dataset(rows, name)
    change(lance.dataset(name))
    after = lance.dataset(name)
    found = after.to_table()["id"].to_pylist(), after.take([2])["caption"].to_pylist()[0], after.count_rows()
    print(f"{name:8} ids in order {found[0]}, take([2]) is {found[1]!r}, {found[2]} rows, version {after.version}")
    return found


def merge(dataset):
    other = pa.table({"id": [2], "caption": ["corrected"]})
    dataset.merge_insert("id").when_matched_update_all().execute(other)


untouched = changed("nothing", lambda dataset: None)
columns = changed("columns", lambda dataset: dataset.add_columns({"score": "1.0"}))
compact = changed("compact", lambda dataset: dataset.optimize.compact_files())
update = changed("update", lambda dataset: dataset.update({"caption": "'corrected'"}, where="id = 2"))
merged = changed("merge", merge)
if not untouched == columns == compact == ([0, 1, 2, 3, 4, 5], "clip 2", 6):
    sys.exit("CHANGED: what it is compared with does not hold")
for found in (update, merged):
    if found[0] == [0, 1, 2, 3, 4, 5]:
        sys.exit("CHANGED: an updated row stays where it was")
    if found != ([0, 1, 3, 4, 5, 2], "clip 3", 6):
        sys.exit(f"CHANGED: {found}")
print("HOLDS: after an update of row 2, row 2 is the clip that was row 3")
PY
