#!/usr/bin/env bash
# x265 with lossless=1 changes pictures that are one coding block wide, such as 32 x 32 and 64 x 64.
#
# Guess:  libx265 with `lossless=1` gives back the pictures that it was given, as libx264 with `crf=0`, FFV1 and VP9 do.
# Truth:  not where the width is that of one coding tree unit (64 by default; x265 takes 32 for pictures of 32): with
#         B-frames some frames come back changed, noise by up to 100 levels and more, real videos by a few. It is the same in
#         each run, with and without the assembler code, in 4:2:0 and 4:4:4, by two decoders. Wider pictures,
#         `ctu=16` and `bframes=0` are lossless. A set of thumbnails or small training clips is what it hits.
# Seen:   x265 4.2 in FFmpeg 9.0.2 (imageio-ffmpeg 0.8.1)
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
import numpy

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
print(subprocess.run([FFMPEG, "-version"], capture_output=True, text=True, check=True).stdout.splitlines()[0])


def changed_frames(width, height, codec, *options, frames=24):
    """How many frames come back changed, and by how much at most."""
    given = numpy.random.default_rng(1).integers(0, 256, (frames, width * height * 3 // 2), dtype=numpy.uint8)
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p"]
    say = [FFMPEG, "-loglevel", "error", "-y"]
    source = [*say, *raw, "-s", f"{width}x{height}", "-r", "24", "-i", "-", "-c:v", codec, *options, "out.mkv"]
    subprocess.run(source, input=given.tobytes(), check=True, stderr=subprocess.DEVNULL)
    back = subprocess.run([*say, "-i", "out.mkv", *raw, "-"], capture_output=True, check=True).stdout
    off = numpy.abs(given.astype(int) - numpy.frombuffer(back, numpy.uint8).reshape(given.shape)).max(1)
    return int((off > 0).sum()), int(off.max())


def x265(width, height, more=""):
    return changed_frames(width, height, "libx265", "-x265-params", f"lossless=1:log-level=none{more}")


narrow = {f"{w} x {h}": x265(w, h) for w, h in ((32, 32), (64, 64), (64, 128))}
sound = {f"{w} x {h}": x265(w, h) for w, h in ((48, 64), (72, 72), (128, 64), (256, 256))}
sound["64 x 64, ctu=16"] = x265(64, 64, ":ctu=16")
sound["64 x 64, bframes=0"] = x265(64, 64, ":bframes=0")
sound["64 x 64, libx264 crf=0"] = changed_frames(64, 64, "libx264", "-crf", "0")
plain = x265(64, 64, ":asm=0")
for what, (frames, by) in {**narrow, "64 x 64, asm=0": plain, **sound}.items():
    print(f"{what:24} {frames:2} of 24 frames changed, by up to {by}")
if any(frames for frames, _ in sound.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if not all(frames for frames, _ in [*narrow.values(), plain]):
    sys.exit("CHANGED: pictures one coding block wide come back as they were")
print("HOLDS: lossless=1 changed frames of 32 x 32, 64 x 64 and 64 x 128, and none of wider pictures")
PY
