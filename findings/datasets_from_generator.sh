#!/usr/bin/env bash
# Hugging Face's Dataset.from_generator returns last time's rows when the files that it reads have changed.
#
# Guess:  from_generator runs the generator that it is given.
# Truth:  its rows are cached across processes under a hash of the generator's code and arguments. What the generator
#         reads is not in it: after the annotation file has been mended, a new process gets the old rows.
#         datasets.disable_caching() does not change that. load_dataset("text", ...) of the same file sees the change.
# Seen:   datasets 5.2.0
# Known:  https://github.com/huggingface/datasets/issues/7448 (disable_caching)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0
export HF_HOME="$work/cache" HF_HUB_OFFLINE=1
cat > rows.py <<'PY'
import datasets

datasets.disable_progress_bars()
datasets.disable_caching()


def captions(path):
    with open(path) as file:
        for line in file:
            yield {"text": line.strip()}


generated = datasets.Dataset.from_generator(captions, gen_kwargs={"path": "captions.txt"})
loaded = datasets.load_dataset("text", data_files="captions.txt", split="train")
print("from_generator", generated["text"][:], "load_dataset", loaded["text"][:])
PY
venv/bin/python -c 'import datasets; print("datasets", datasets.__version__)'
printf 'a dog\na cat\n' > captions.txt
venv/bin/python rows.py | tee first.txt
printf 'a dog runs\na cat sleeps\na bird\n' > captions.txt
venv/bin/python rows.py | tee second.txt
grep -qF "from_generator ['a dog', 'a cat']" first.txt || { echo "CHANGED: the first run gives other rows"; exit 1; }
grep -qF "load_dataset ['a dog runs', 'a cat sleeps', 'a bird']" second.txt || { echo "CHANGED: load_dataset is stale too"; exit 1; }
grep -qF "from_generator ['a dog', 'a cat']" second.txt || { echo "CHANGED: from_generator sees the new file"; exit 1; }
echo "HOLDS: the second process gets the first one's rows, though the file is another"
