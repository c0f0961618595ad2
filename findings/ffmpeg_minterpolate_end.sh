#!/usr/bin/env bash
# ffmpeg's minterpolate drops the last picture of a video, and all that would have come of it.
#
# Guess:  minterpolate at twice the rate gives twice the frames, as fps and framerate do, and at the same rate the same ones.
# Truth:  of 50 frames come 97 and not 100, of 10 come 17, and at the same rate 49 of 50: the last source frame is never
#         shown, in each of its modes.
# Seen:   FFmpeg 9.0.2, the binary of imageio-ffmpeg 0.8.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1 numpy==2.4.6
cat > smooth.py <<'PY'
import subprocess
import sys
from importlib.metadata import version

import imageio_ffmpeg
import numpy as np

print("imageio-ffmpeg", version("imageio-ffmpeg"), "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())


def numbers(count, rate, filters):
    """Frames whose brightness is their number, through a filter: what comes out, as numbers."""
    given = b"".join(np.full((32, 32), 20 + 4 * number, np.uint8).tobytes() for number in range(count))
    form = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "32x32"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *form, "-r", str(rate), "-i", "-"]
    command += ["-vf", filters, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    made = subprocess.run(command, input=given, capture_output=True, check=True).stdout
    return [(float(frame.mean()) - 20) / 4 for frame in np.frombuffer(made, np.uint8).reshape(-1, 32, 32)]


for name in ("fps=50", "framerate=fps=50"):
    found = numbers(50, 25, name)
    print(f"50 frames, {name}: {len(found)}, the last shows {found[-1]:g}")
    if (len(found), found[-1]) != (100, 49):
        sys.exit("CHANGED: what it is compared with does not hold")
lost = []
for count, rate, wanted in ((50, 25, 50), (10, 10, 20), (50, 25, 25)):
    for mode in ("dup", "blend", "mci"):
        found = numbers(count, rate, f"minterpolate=fps={wanted}:mi_mode={mode}:scd=none")
        whole = count * wanted // rate
        last = f"the last shows {found[-1]:g} of {count - 1}"
        print(f"{count} frames, {rate} to {wanted}, {mode}: {len(found)} of {whole}, {last}")
        lost.append(len(found) < whole and found[-1] < count - 1)
if not all(lost):
    sys.exit("CHANGED: the last frame is there")
print("HOLDS: the last frame is never shown")
PY
venv/bin/python smooth.py
