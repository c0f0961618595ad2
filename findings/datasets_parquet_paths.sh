#!/usr/bin/env bash
# A Parquet file that datasets writes holds the paths of pictures and videos, not their bytes.
#
# Guess:  to_parquet writes an Image or Video column as save_to_disk and push_to_hub do: with the bytes, since such a column is
#         {bytes, path} and the file is what is copied to another machine.
# Truth:  for files of this machine the bytes are null and the path is the absolute one of here; save_to_disk of the same
#         dataset has the bytes and the file's name alone. The file loads everywhere without an error, with the right length
#         and features, and fails at the first picture that is decoded; a reader of the bytes (Polars, DuckDB, a trainer) finds
#         nulls. Pictures that are given as PIL are written.
# Seen:   datasets 5.2.0, pillow 13.0.0, pyarrow 25.0.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pillow==13.0.0 pyarrow==25.0.1 imageio-ffmpeg==0.8.1
venv/bin/python - <<'PY'
import os
import subprocess
import sys
from importlib.metadata import version

import datasets
import imageio_ffmpeg
import pyarrow.parquet
from PIL import Image

print(*(f"{name} {version(name)}" for name in ("datasets", "pillow", "pyarrow")))
datasets.disable_progress_bars()
os.mkdir("files")
Image.new("RGB", (64, 64), "red").save("files/a.png")
ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi"]
subprocess.run([*ffmpeg, "-i", "testsrc2=s=64x64:r=8:d=1", "files/a.mp4"], check=True)
here = os.path.abspath("files")


def cell(value):
    return value["path"].replace(here, "HERE"), len(value["bytes"] or b"")


seen = {}
for name, feature, column in (
    ("picture", datasets.Image(), [f"{here}/a.png"]),
    ("video", datasets.Video(), [f"{here}/a.mp4"]),
):
    table = datasets.Dataset.from_dict({"x": column}, features=datasets.Features({"x": feature}))
    table.to_parquet(f"{name}.parquet")
    table.save_to_disk(f"{name}_folder")
    seen[name] = {
        "to_parquet": cell(pyarrow.parquet.read_table(f"{name}.parquet")["x"][0].as_py()),
        "save_to_disk": cell(datasets.load_from_disk(f"{name}_folder").with_format("arrow")[0]["x"][0].as_py()),
    }
    print(f"{name:8} (path, bytes):", seen[name])
given = datasets.Dataset.from_dict({"x": [Image.new("RGB", (64, 64))]}, features=datasets.Features({"x": datasets.Image()}))
given.to_parquet("given.parquet")
inside = len(pyarrow.parquet.read_table("given.parquet")["x"][0].as_py()["bytes"] or b"")
print("a PIL picture, to_parquet: bytes", inside)
os.rename("files", "elsewhere")
again = datasets.load_dataset("parquet", data_files="picture.parquet", split="train", cache_dir="cache")
print("the files are elsewhere: rows", len(again), "feature", type(again.features["x"]).__name__)
try:
    again[0]
    found = True
except FileNotFoundError as error:
    found = False
    print("    the first picture:", str(error).replace(here, "HERE")[:80])
if not inside or any(value["save_to_disk"][1] == 0 or "HERE" in value["save_to_disk"][0] for value in seen.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(value["to_parquet"][1] for value in seen.values()) or found:
    sys.exit("CHANGED: to_parquet writes the bytes")
if any(not value["to_parquet"][0].startswith("HERE/") for value in seen.values()):
    sys.exit("CHANGED: to_parquet writes other paths")
print("HOLDS: the Parquet file has no picture and no video, but this machine's paths")
PY
