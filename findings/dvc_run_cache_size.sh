#!/usr/bin/env bash
# A parameter called `size` or `nfiles` is not part of the key of DVC's run cache.
#
# Guess:  `dvc repro` after a parameter has changed to a value that was never run runs the stage, whatever its name.
# Truth:  the run cache leaves every key `size` and `nfiles`, at any depth, out of what it hashes (they are the names of
#         fields of its own outputs). The stage is not run: the output of the OLD value is checked out, the NEW value
#         is written to dvc.lock, and `dvc status` says that all is up to date. The same change under another name runs.
# Seen:   dvc 3.67.1 (dvc/stage/cache.py, _get_cache_hash)
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
printf 'picture:\n  size: 16\n  width: 16\n' > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  render:
    cmd: cp params.yaml out.yaml
    deps: [input.txt]
    params: [picture]
    outs: [out.yaml]
YAML
echo input > input.txt
"$dvc" repro --quiet

echo "== width: 16 -> 32"
sed -i 's/width: 16/width: 32/' params.yaml
"$dvc" repro
cat out.yaml
grep -q 'width: 32' out.yaml || { echo "CHANGED: width was not run either"; exit 1; }

echo "== size: 16 -> 32"
sed -i 's/size: 16/size: 32/' params.yaml
"$dvc" repro
"$dvc" status
echo "-- out.yaml";  cat out.yaml
echo "-- dvc.lock";  grep -A 3 'picture:' dvc.lock
grep -q 'size: 16' out.yaml || { echo "CHANGED: the stage was run with the new size"; exit 1; }
grep -A 3 'picture:' dvc.lock | grep -q 'size: 32' || { echo "CHANGED: dvc.lock no longer records the new size"; exit 1; }
"$dvc" status | grep -q 'up to date' || { echo "CHANGED: dvc status sees the difference"; exit 1; }
echo "HOLDS: out.yaml is of size 16, dvc.lock says 32, dvc status says up to date"
