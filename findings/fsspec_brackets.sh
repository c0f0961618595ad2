#!/usr/bin/env bash
# fsspec takes "[...]" in the name of a file for a pattern: rm() of one video deletes others, and leaves it.
#
# Guess:  store.rm("bucket/clip [12].mp4") deletes the object of that name, which exists() and info() find; cat() and get()
#         read it.
# Truth:  rm, cat and get expand *, ? and [...] first, whether or not there is such an object: "clip 1.mp4" and "clip 2.mp4"
#         are deleted, "clip [12].mp4" stays; get() copies the other two; cat() gives a dictionary of them. Where nothing else
#         matches, get() and rm() say "not found" of a file that is there. S3 by s3fs, memory and the others that use fsspec's
#         own rm; the local disk's rm is plain, its cat and get are not. yt-dlp names files "Title [id].mp4". open(), pipe(),
#         info(), rm_file(), cat_file() and get_file() take names as they are.
# Seen:   fsspec 2026.9.0, s3fs 2026.9.0 against moto 5.2.5
# Known:  https://github.com/fsspec/filesystem_spec/issues/838 (get and put; not that rm deletes others)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet s3fs==2026.9.0 fsspec==2026.9.0 'moto[server]==5.2.5'
venv/bin/python - <<'PY'
import logging
import os
import sys
import tempfile

import fsspec
import s3fs
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").disabled = True
os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1", NO_PROXY="127.0.0.1")
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
print("fsspec", fsspec.__version__, "s3fs", s3fs.__version__)
names = ["clip 1.mp4", "clip 2.mp4", "clip 3.mp4", "clip [12].mp4"]
stores = {
    "s3": s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}"),
    "memory": fsspec.filesystem("memory"),
    "local": fsspec.filesystem("file"),
}
seen = {}
for kind, store in stores.items():
    folder = tempfile.mkdtemp() if kind == "local" else "bucket"
    if kind != "local":
        store.mkdir(folder)
    for name in names:
        store.pipe(f"{folder}/{name}", name.encode())
    asked = f"{folder}/clip [12].mp4"
    target = tempfile.mkdtemp()
    read = store.cat(asked)
    store.get(asked, target + "/")
    with store.open(asked) as file:
        plain = file.read()
    there = store.exists(asked), plain == b"clip [12].mp4"
    store.rm(asked)
    store.invalidate_cache()
    left = sorted(path.rsplit("/", 1)[-1] for path in store.ls(folder, detail=False))
    contents = sorted(read.values()) if isinstance(read, dict) else read
    seen[kind] = {"there": there, "cat": contents, "get": sorted(os.listdir(target)), "left": left}
    print(kind, seen[kind])
server.stop()
wrong = ["clip 1.mp4", "clip 2.mp4"]
for kind, found in seen.items():
    if found["there"] != (True, True):
        sys.exit("CHANGED: exists and open do not take the name as it is")
    if found["cat"] != [name.encode() for name in wrong] or found["get"] != wrong:
        sys.exit(f"CHANGED: cat or get of {kind}")
if seen["local"]["left"] != names[:3]:
    sys.exit(f"CHANGED: rm of the local disk leaves {seen['local']['left']}")
if not seen["s3"]["left"] == seen["memory"]["left"] == ["clip 3.mp4", "clip [12].mp4"]:
    sys.exit(f"CHANGED: rm leaves {seen['s3']['left']}, {seen['memory']['left']}")
print("HOLDS: two other videos are deleted, and the named one is there")
PY
