#!/usr/bin/env bash
# DVC does not see a parameter change from 1 to 1.0 or to true.
#
# Guess:  any edit of a parameter that gives the stage another value makes the stage stale.
# Truth:  values are compared with Python's ==, where 1 == 1.0 == True. Code that tells them apart (a count or a share,
#         a number or a switch, as in scikit-learn's test_size) keeps the result of the old one: `dvc status` says up to
#         date, `dvc repro` skips the stage.
# Seen:   dvc 3.67.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet dvc==3.67.1
export DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$work/site" DVC_GLOBAL_CONFIG_DIR="$work/global" DVC_SYSTEM_CONFIG_DIR="$work/system"
dvc=$work/venv/bin/dvc
mkdir project
cd project
"$dvc" init --quiet --no-scm
"$dvc" config core.check_update false
cat > split.py <<'PY'
from ruamel.yaml import YAML

clips = list(range(10))
held_out = YAML(typ="safe").load(open("params.yaml"))["held_out"]
count = held_out if isinstance(held_out, int) else round(held_out * len(clips))  # a count or a share
print(f"held_out: {held_out!r} -> {count} clips", file=open("out.txt", "w"))
PY
cat > dvc.yaml <<YAML
stages:
  split:
    cmd: $work/venv/bin/python split.py
    deps: [split.py]
    params: [held_out]
    outs: [out.txt]
YAML
echo 'held_out: 1' > params.yaml
"$dvc" repro --quiet
cat out.txt
for value in 1.0 true; do
    echo "held_out: $value" > params.yaml
    echo "== params.yaml now says: $(cat params.yaml)"
    "$dvc" repro | tee repro.log
    cat out.txt
    grep -q "didn't change, skipping" repro.log || { echo "CHANGED: $value makes the stage run"; exit 1; }
    grep -q 'held_out: 1 -> 1 clips' out.txt || { echo "CHANGED: the output is a new one"; exit 1; }
done
echo 'held_out: 2' > params.yaml
"$dvc" repro --quiet
grep -q '2 -> 2 clips' out.txt || { echo "CHANGED: an ordinary change is not seen"; exit 1; }
echo "HOLDS: 1, 1.0 and true are one value to DVC; 2 is another"
