#!/usr/bin/env bash
# ffmpeg's crop, pad and overlay go to the next even place of an ordinary video, and say nothing.
#
# Guess:  crop=8:8:5:5 of a yuv420p video begins at column 5 and row 5, overlay=5:5 puts the picture there, and pad=...:5:5 the video;
#         or an odd place is refused.
# Truth:  all three round down to the grid of the chroma: 4 and 4, and a crop of 7 x 7 is 6 x 6. So a box that a detector found is cut out
#         one pixel away, and a mask or a label that is laid over a video lies beside its object. No warning. crop has exact=1
#         for it, overlay and pad have no such option; drawbox goes where it is told, and in yuv444p all do.
# Seen:   FFmpeg 9.0.2 (imageio-ffmpeg 0.8.1), numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1 numpy==2.4.6
venv/bin/python - <<'PY'
import subprocess
import sys

import imageio_ffmpeg
import numpy as np

program = imageio_ffmpeg.get_ffmpeg_exe()
print(subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout.splitlines()[0])
columns = np.broadcast_to(20 + 8 * np.arange(24, dtype=np.uint8), (24, 24))  # luma says the column


def filtered(filters, kind):
    """The luma (rows, columns) of the picture after the filters, and what ffmpeg said."""
    chroma = bytes([128]) * (24 * 24 // 2 if kind == "yuv420p" else 24 * 24 * 2)
    command = [program, "-v", "warning", "-f", "rawvideo", "-pix_fmt", kind, "-s", "24x24", "-i", "-", "-vf", filters]
    command += ["-c:v", "rawvideo", "-f", "yuv4mpegpipe", "-strict", "-1", "-"]
    done = subprocess.run(command, input=columns.tobytes() + chroma, capture_output=True, check=True)
    header, rest = done.stdout.split(b"\n", 1)
    width, height = (int(next(field[1:] for field in header.split() if field[:1] == side)) for side in (b"W", b"H"))
    luma = np.frombuffer(rest.split(b"\n", 1)[1][: width * height], np.uint8)
    return luma.reshape(height, width), done.stderr.decode().strip()


def places(kind):
    """For each filter the column and row at which 5 and 5 came out, the size of a crop of 7 x 7, and all that was said."""
    over = "format={0},split[video][copy];[copy]crop=4:4:0:0,drawbox=c=white:t=fill[white];[video][white]overlay=5:5:format={1}"
    laid = over.format(kind, {"yuv420p": "yuv420", "yuv444p": "yuv444"}[kind])
    boxed, padded, crop, exact, small = (
        filtered(text, kind)
        for text in ("drawbox=5:5:4:4:white:fill", "pad=32:32:5:5:white", "crop=8:8:5:5", "crop=8:8:5:5:exact=1", "crop=7:7:4:4")
    )
    over_it = filtered(laid, kind)
    found = {"crop": (int(crop[0][0, 0]) - 20) // 8, "crop exact=1": (int(exact[0][0, 0]) - 20) // 8}
    for name, (luma, _) in {"drawbox": boxed, "overlay": over_it}.items():
        rows, across = np.nonzero(luma > 220)
        found[name] = (int(across.min()), int(rows.min()))
    rows, across = np.nonzero(padded[0] < 220)
    found["pad"] = (int(across.min()), int(rows.min()))
    found["crop=7:7"] = small[0].shape
    return found, {said for _, said in (boxed, padded, crop, exact, small, over_it) if said}


seen = {kind: places(kind) for kind in ("yuv420p", "yuv444p")}
for kind, (found, said) in seen.items():
    print(kind, found, "said:", said)
whole = {"crop": 5, "crop exact=1": 5, "drawbox": (5, 5), "overlay": (5, 5), "pad": (5, 5), "crop=7:7": (7, 7)}
if seen["yuv444p"][0] != whole or seen["yuv420p"][0]["drawbox"] != (5, 5) or seen["yuv420p"][0]["crop exact=1"] != 5:
    sys.exit("CHANGED: what it is compared with does not hold")
found, said = seen["yuv420p"]
if said or (found["crop"], found["overlay"], found["pad"], found["crop=7:7"]) != (4, (4, 4), (4, 4), (6, 6)):
    sys.exit("CHANGED: odd places are kept, or spoken of")
print("HOLDS: 5 became 4 in crop, overlay and pad")
PY
