#!/usr/bin/env bash
# ffmpeg's drawbox, drawgrid and fillborders draw another red on a BT.709 video than pad, rotate, fade and tpad do.
#
# Guess:  a filter that is told to draw red draws what is shown as red, or all of them are off in the same way.
# Truth:  on a video that says BT.709, as most do, drawbox, drawgrid and fillborders turn the colour into YUV by BT.601: red is shown as
#         (255, 23, 0) and green, 0x00FF00, as (0, 214, 0): annotations and padding are not found again by their colour. pad, rotate,
#         fade and tpad go by the video's matrix and are right, as all seven are where it is BT.601 or unspecified. No warning.
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
print(subprocess.run([program, "-version"], check=True, capture_output=True, text=True).stdout.split(" Copyright")[0])
WIDTH, HEIGHT = 96, 64
LOSSLESS = ["-c:v", "ffv1", "-pix_fmt", "yuv420p"]
matrices = {
    "bt709": ["-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"],
    "smpte170m": ["-vf", "scale=out_color_matrix=smpte170m", "-colorspace", "smpte170m"],
    "unspecified": [],
}
filters = {  # each with a place where it draws
    "drawbox": ("drawbox=0:0:32:32:{}:fill", (8, 8)),
    "drawgrid": ("drawgrid=w=16:h=16:t=8:c={}", (2, 2)),
    "fillborders": ("fillborders=16:16:16:16:fixed:{}", (4, 4)),
    "pad": ("crop=64:64,pad=96:64:32:0:{}", (8, 8)),
    "rotate": ("rotate=PI/4:fillcolor={}", (2, 2)),
    "fade": ("fade=t=out:st=0:d=0.01:color={}", (8, 8)),
    "tpad": ("tpad=stop=1:color={}", (8, 8)),
}
colours = {"0xFF0000": (255, 0, 0), "0x00FF00": (0, 255, 0)}


def ffmpeg(*options, data=b""):
    return subprocess.run([program, "-v", "error", "-y", *options], check=True, input=data, capture_output=True).stdout


def drawn(name, colour):
    """The colour that is shown of the video encoded with the filter, at the filter's place in the last frame."""
    chain, place = filters[name]
    ffmpeg("-i", "gray.mkv", "-vf", chain.format(colour), *LOSSLESS, "drawn.mkv")
    shown = ffmpeg("-i", "drawn.mkv", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return tuple(int(value) for value in np.frombuffer(shown, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)[-1][place])


seen = {}
for matrix, options in matrices.items():
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", "24", "-i", "-"]
    ffmpeg(*raw, *options, *LOSSLESS, "gray.mkv", data=bytes([100]) * (WIDTH * HEIGHT * 3 * 6))
    for name in filters:
        found = [drawn(name, colour) for colour in colours]
        seen[matrix, name] = max(abs(a - b) for one, wanted in zip(found, colours.values()) for a, b in zip(one, wanted))
        print(f"{matrix:11} {name:11} red is {found[0]}, green {found[1]}")
off = {key for key, error in seen.items() if error > 4}
if any(error < 20 for key, error in seen.items() if key in off):
    sys.exit("CHANGED: what it is compared with does not hold")
if off != {("bt709", name) for name in ("drawbox", "drawgrid", "fillborders")}:
    sys.exit(f"CHANGED: other filters draw other colours: {sorted(off)}")
print("HOLDS: drawbox, drawgrid and fillborders are off on BT.709 by up to", max(seen.values()))
PY
