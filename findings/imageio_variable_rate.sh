#!/usr/bin/env bash
# imageio's FFMPEG plugin gives other frames than a file with a variable rate has.
#
# Guess:  iio.imread(file, plugin="FFMPEG") and imageio's get_reader give the frames of a file, as plugin="pyav" does:
#         the n-th array is the n-th frame.
# Truth:  they are what ffmpeg makes of it at the constant rate that it guesses for output: of 17 frames come 20, some
#         of them several times and others not at all, and which ones depends on the average rate. Screen recordings
#         and phones' videos have variable rates; labels by number of frame are then of other pictures. No warning.
# Seen:   imageio 2.38.1, imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), av 18.1.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet imageio==2.38.1 imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
from fractions import Fraction

import av
import imageio
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np

VARIABLE = [0, 40, 83, 250, 300, 310, 320, 700, 900, 1000, 1500, 1541, 1600, 2000, 2010, 2020, 2500]  # milliseconds
CONSTANT = [40 * number for number in range(17)]


def write(name, times):
    """An MP4 whose frame n has a grey level that says n."""
    with av.open(name, "w") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "1", "threads": "1"}
        for number, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 8 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def numbers(frames):
    return [round((float(frame.mean()) - 20) / 8) for frame in frames]


print("imageio", imageio.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version(), "av", av.__version__)
all_of_them, seen = list(range(17)), {}
for name, times in (("constant", CONSTANT), ("variable", VARIABLE)):
    write(f"{name}.mp4", times)
    for plugin in ("pyav", "FFMPEG"):
        seen[name, plugin] = numbers(iio.imread(f"{name}.mp4", plugin=plugin))
        print(f"{name} rate, {plugin:6}: {len(seen[name, plugin])} frames {seen[name, plugin]}")
if any(seen[key] != all_of_them for key in seen if key != ("variable", "FFMPEG")):
    sys.exit("CHANGED: what it is compared with does not hold")
found = seen["variable", "FFMPEG"]
if found == all_of_them:
    sys.exit("CHANGED: the FFMPEG plugin gives the file's frames")
lost = sorted(set(all_of_them) - set(found))
print(f"HOLDS: {len(found)} arrays for 17 frames; frames {lost} are in none")
PY
