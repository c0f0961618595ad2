#!/usr/bin/env bash
# imageio's pyav plugin reads another frame than the one that index= asks for.
#
# Guess:  iio.imread(file, plugin="pyav", index=n) is the n-th frame of what iio.imiter gives of the same file.
# Truth:  the number is made a time by the frame rate. Of a transport stream whose first frame is at 1.4 s it gives frame 10
#         for 40 and 60 for 90, and the first one for all up to 30; of an MP4 whose 50th frame is shown a second longer it
#         gives 65 for 90. Nothing is said. Reading one after the other, or constant_framerate=False, is right.
# Seen:   imageio 2.38.1, av 18.1.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet imageio==2.38.1 av==18.1.0 numpy==2.4.6
cat > index.py <<'PY'
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import imageio.v3 as iio
import numpy as np

print(*(f"{name} {version(name)}" for name in ("imageio", "av", "numpy")))


def write(name, ticks):
    """100 frames whose brightness is their number, shown at `ticks` 25ths of a second, a key frame every 10."""
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "crf": "10", "bf": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 25)
        for number, tick in enumerate(ticks):
            planes = np.full((96, 64), 128, np.uint8)
            planes[:64] = 16 + 2 * number
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = tick, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def number(picture):
    return round(float(np.asarray(picture)[8:56, 8:56].mean()) * 219 / 255 / 2)


even = list(range(100))
pause = [tick + 25 * (tick >= 50) for tick in even]  # the middle frame is shown a second longer
asked = [0, 5, 30, 40, 60, 90]
seen = {}
for name, ticks in (("even.mp4", even), ("late.ts", [tick + 35 for tick in even]), ("pause.mp4", pause)):
    write(name, ticks)
    order = [number(picture) for picture in iio.imiter(name, plugin="pyav")]
    by_index, safe = [], []
    for index in asked:
        for found, options in ((by_index, {}), (safe, {"constant_framerate": False})):
            try:
                found.append(number(iio.imread(name, plugin="pyav", index=index, **options)))
            except (StopIteration, IndexError, EOFError) as error:
                found.append(type(error).__name__)
    print(f"{name:9} one after the other right {order == even}; asked {asked}: got {by_index}, with constant_framerate=False {safe}")
    seen[name] = order == even and safe == asked, by_index
if not all(right for right, _ in seen.values()) or seen["even.mp4"][1] != asked:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[name][1] == asked for name in ("late.ts", "pause.mp4")):
    sys.exit("CHANGED: index= is the number of the frame")
print("HOLDS: other frames than asked for")
PY
venv/bin/python index.py
