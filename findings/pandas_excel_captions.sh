#!/usr/bin/env bash
# Captions and ids that pandas writes to Excel and reads from it again are not those that were written.
#
# Guess:  unlike CSV, a workbook knows text from numbers: to_excel and read_excel give a table back.
# Truth:  a caption that begins with "=" ("= sign on a wall") is written as a formula; nobody has computed it, so it is read
#         as missing. Of text cells, "None", "NA", "null" and "nan" are missing as in CSV. "\r\n" becomes "\n". Whole numbers
#         go through a float: ids of 17 and more digits come back as others, and two of them as one. 0.1 + 0.2 comes back as
#         0.3. Ids as text are kept, zeros in front too.
# Seen:   pandas 3.1.1, openpyxl 3.1.5
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pandas==3.1.1 openpyxl==3.1.5
venv/bin/python - <<'PY'
import sys

import openpyxl
import pandas as pd

print("pandas", pd.__version__, "openpyxl", openpyxl.__version__)
captions = ["a cat", "= sign on a wall", "=1+1 on a board", "None", "NA", "two\r\nlines", "-5 degrees", "+1"]
ids = [7123456789012345671, 7123456789012345672, 2**53 + 1, 1, 2, 3, 4, 5]
table = pd.DataFrame({"caption": captions, "id": ids, "text_id": [f"00{value}" for value in ids], "score": [0.1 + 0.2] * 8})
table.to_excel("clips.xlsx", index=False)
read = pd.read_excel("clips.xlsx", dtype={"text_id": str})
kept = pd.read_excel("clips.xlsx", keep_default_na=False)["caption"].tolist()
for caption, found, with_option in zip(captions, read["caption"].tolist(), kept):
    print(f"{caption!r:22} {found!r:22} keep_default_na=False {with_option!r}")
print("ids    ", ids[:3], "->", read["id"].tolist()[:3])
print("score  ", table["score"][0], "->", read["score"][0])
same = read["caption"].tolist()[6:] == captions[6:] and read["caption"][0] == "a cat"
if not same or read["text_id"].tolist() != table["text_id"].tolist():
    sys.exit("CHANGED: what it is compared with does not hold")
if read["caption"].isna().tolist() != [False, True, True, True, True, False, False, False]:
    sys.exit(f"CHANGED: other captions are missing: {read['caption'].tolist()}")
if kept[3:5] != ["None", "NA"] or kept[1] == captions[1]:
    sys.exit(f"CHANGED: keep_default_na: {kept}")
if read["id"][0] == ids[0] or read["id"][0] != read["id"][1] or read["id"][2] == ids[2]:
    sys.exit(f"CHANGED: ids {read['id'].tolist()[:3]}")
print("HOLDS: 4 of 8 captions are missing, and two ids are one")
PY
