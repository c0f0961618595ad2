#!/usr/bin/env bash
# Pictures that moviepy writes as a video are not all in it, and others are in it twice.
#
# Guess:  ImageSequenceClip(frames, fps=24).write_videofile(...) writes each frame once, in order.
# Truth:  both sides add up times, and rounding puts some just before a frame's begin: of 250 frames at 24 a second every third
#         from the 98th on is missing and the one before it twice, and the last one is missing, too; at 30 some frames are one
#         late until one is dropped; so at 25, 29.97 and 23.976. Asked in the middle of each frame the clip gives them all.
# Seen:   moviepy 2.2.1, numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet moviepy==2.2.1 numpy==2.4.6 imageio-ffmpeg==0.6.0
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import imageio_ffmpeg
import numpy as np
from moviepy import ImageSequenceClip

print("moviepy", version("moviepy"), "numpy", np.__version__)
COUNT = 250


def frame(number):
    """A picture with its number in ten black and white squares."""
    bits = [255 * (number >> bit & 1) for bit in range(10)]
    return np.repeat(np.tile(np.repeat(bits, 16).astype(np.uint8), (16, 1))[..., None], 3, axis=-1)


def number(pixels):
    return sum(int(pixels[8, 16 * bit + 8, 0] > 128) << bit for bit in range(10))


def written(clip):
    clip.write_videofile("out.mp4", codec="libx264", ffmpeg_params=["-qp", "0"], logger=None)
    frames = imageio_ffmpeg.read_frames("out.mp4", output_params=["-fps_mode", "passthrough"])
    next(frames)
    return [number(np.frombuffer(pixels, np.uint8).reshape(16, 160, 3)) for pixels in frames]


lost = {}
for rate in (24, 25, 30, 29.97, 23.976):
    clip = ImageSequenceClip([frame(index) for index in range(COUNT)], fps=rate)
    if [number(clip.get_frame((index + 0.5) / rate)) for index in range(COUNT)] != list(range(COUNT)):
        sys.exit("CHANGED: the clip has not all frames")
    numbers = written(clip)
    missing = sorted(set(range(COUNT)) - set(numbers))
    twice = sorted({seen for seen in numbers if numbers.count(seen) > 1})
    lost[rate] = len(missing)
    print(f"{rate:6} a second: {len(numbers)} frames, {len(missing)} missing {missing[:6]}, {len(twice)} twice {twice[:6]}")
if min(lost.values()) == 0:
    sys.exit("CHANGED: every frame is written")
print("HOLDS: missing of", COUNT, "frames:", lost)
PY
