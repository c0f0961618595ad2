#!/usr/bin/env bash
# A failed If-Match arrives from s3fs as "Invalid argument", not as its own FileExpired, and not as a 412.
#
# Guess:  s3fs has FileExpired for an object that was replaced while it is read, so a conditional read of one raises that; or at
#         least an error that says 412. A loader may then treat EINVAL as a mistake of its own.
# Truth:  only s3fs' own file objects raise FileExpired (errno 16, EBUSY). The same condition given to call_s3 raises a bare
#         OSError with errno 22, EINVAL; the status and the code are only in its __cause__, botocore's ClientError. And a file
#         object whose block is in its cache goes on giving the old bytes.
# Seen:   s3fs 2026.9.0 against moto 5.2.5
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet s3fs==2026.9.0 'moto[server]==5.2.5'
cat > replaced.py <<'PY'
import errno
import logging
import os
import sys

import s3fs
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").disabled = True
os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1", NO_PROXY="127.0.0.1")
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
store = s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}")
store.mkdir("bucket")
store.pipe("bucket/clip", b"0" * (4 << 20))
before = store.info("bucket/clip")["ETag"]


def ranged(etag):
    return store.call_s3("get_object", Bucket="bucket", Key="clip", Range="bytes=0-9", IfMatch=etag)


print("s3fs", s3fs.__version__, "the object as it was:", ranged(before)["ContentLength"], "bytes")
file = store.open("bucket/clip", block_size=1 << 20, cache_type="readahead")
file.read(10)
store.pipe("bucket/clip", b"1" * (4 << 20))
cached = file.read(10)
try:
    file.seek(3 << 20)
    file.read(10)
    own = None
except OSError as error:
    own = error
try:
    ranged(before)
    conditional = None
except OSError as error:
    conditional = error
server.stop()
print("from a block in the cache:", cached)
print("a file object:", type(own).__name__, getattr(own, "errno", None))
print("call_s3 with IfMatch:", type(conditional).__name__, getattr(conditional, "errno", None), conditional)
cause = getattr(conditional, "__cause__", None)
status = getattr(cause, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
print("its cause:", type(cause).__name__, status)
if type(own).__name__ != "FileExpired" or own.errno != errno.EBUSY or cached != b"0" * 10:
    sys.exit("CHANGED: what a file object does")
if type(conditional) is not OSError or conditional.errno != errno.EINVAL or status != 412:
    sys.exit("CHANGED: a failed condition is another error")
print("HOLDS: a failed If-Match is OSError(EINVAL); 412 is only in its cause")
PY
venv/bin/python replaced.py
