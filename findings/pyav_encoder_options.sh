#!/usr/bin/env bash
# PyAV encodes with an option that no encoder has, and says nothing.
#
# Guess:  options={"cfr": "0"} for crf, or an option that another encoder has, is refused, as ffmpeg does
#         ("Unrecognized option"); at least a wrong value is ("preset": "slowish" is).
# Truth:  names that libavcodec leaves unused are dropped without an error or a warning, also those in capitals and those
#         within x264-params. A set of clips that was meant to be lossless is encoded at the default quality.
# Seen:   av 18.1.0, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import io
import sys

import av
import numpy as np

print("av", av.__version__)
pictures = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)


def encoded(options):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8, options=options)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv444p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


plain, lossless = encoded({}), encoded({"crf": "0"})
print("bytes without options:", len(plain), " crf=0:", len(lossless))
if len(lossless) < 2 * len(plain):
    sys.exit("CHANGED: crf=0 is not what it was")
for wrong in ({"cfr": "0"}, {"CRF": "0"}, {"x264-params": "cfr=0"}, {"deadline": "best", "row-mt": "1"}):
    try:
        same = encoded(wrong) == plain
    except Exception as error:
        sys.exit(f"CHANGED: {wrong} is refused: {type(error).__name__}")
    print(wrong, "-> the bytes that no option gives:", same)
    if not same:
        sys.exit(f"CHANGED: {wrong} does something")
try:
    encoded({"preset": "slowish"})
    sys.exit("CHANGED: a wrong value is taken too")
except av.error.ArgumentError as error:
    print("a wrong value:", type(error).__name__)
print("HOLDS: options that no encoder knows are dropped in silence")
PY
