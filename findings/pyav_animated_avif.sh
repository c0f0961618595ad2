#!/usr/bin/env bash
# PyAV's usual loop reads one frame of an animated AVIF.
#
# Guess:  container.decode(video=0), the loop of every PyAV example, yields all frames of a file whose frames Pillow counts.
# Truth:  an animated AVIF holds a still picture and a track: stream 0 is the still, one frame without an error. The
#         animation is the second stream, which container.streams.best("video") finds. (The same animation as GIF or
#         APNG is one stream with all frames.)
# Seen:   av 18.1.0, pillow 13.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import av
import numpy as np
import PIL
from PIL import Image

print("av", av.__version__, "pillow", PIL.__version__)
frames = []
for number in range(8):
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, number * 8 : number * 8 + 8] = 255
    frames.append(Image.fromarray(picture))
seen = {}
for kind in ("gif", "png", "avif"):
    file = f"animation.{kind}"
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=100)
    with Image.open(file) as image:
        pillow = image.n_frames
    with av.open(file) as container:
        streams, first = len(container.streams.video), sum(1 for _ in container.decode(video=0))
    with av.open(file) as container:
        best = sum(1 for _ in container.decode(container.streams.best("video")))
    seen[kind] = (pillow, first, best)
    print(f"{kind:5} pillow {pillow} frames; PyAV {streams} streams, decode(video=0) {first}, best {best}")
if seen["gif"] != (8, 8, 8) or seen["png"] != (8, 8, 8):
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["avif"] != (8, 1, 8):
    sys.exit("CHANGED: an animated AVIF is read otherwise")
print("HOLDS: 1 of 8 frames by decode(video=0), 8 by the best stream")
PY
