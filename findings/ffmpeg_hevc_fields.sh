#!/usr/bin/env bash
# FFmpeg gives the fields of interlaced HEVC as pictures of half the height; those of H.264 and MPEG-2 it weaves.
#
# Guess:  a 96 x 64 video at 25 frames a second, coded as fields, is decoded as 25 interlaced frames of 96 x 64, as field
#         pictures of the older codecs are.
# Truth:  HEVC's field_seq_flag and its pic_struct are left to the caller: 50 frames of 96 x 32 a second, with square
#         pixels by the header. Whoever trains on them, scales them, or puts them through bwdif (they are flagged as
#         interlaced) has pictures squeezed to half their height. `weave` puts the fields together again.
# Seen:   av 18.1.0 (FFmpeg 8.1), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2, x265 4.2)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 imageio-ffmpeg==0.8.1 numpy==2.4.6
venv/bin/python - <<'PY'
import subprocess
import sys

import av
import imageio_ffmpeg
import numpy as np

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"]
source = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1"]
fields = ["-vf", "format=yuv420p,setfield=tff,separatefields", "-c:v", "libx265"]
x265 = ["-x265-params", "log-level=none:pools=1:lossless=1:interlace=tff"]
subprocess.run([*ffmpeg, *source, *fields, *x265, "hevc.mp4"], check=True)
subprocess.run([*ffmpeg, *source, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-x264-params", "tff=1:threads=1",
                "h264.mp4"], check=True)  # fmt: skip


def read(name):
    """(width, height, frames, frames that are flagged as interlaced, rate, aspect of a pixel by the header)"""
    with av.open(name) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(video=0))
        aspect, rate = stream.sample_aspect_ratio or 1, stream.average_rate
    flagged = sum(frame.interlaced_frame for frame in frames)
    return frames[0].width, frames[0].height, len(frames), flagged, float(rate), float(aspect)


def pictures(arguments, count):
    command = [*ffmpeg, *arguments, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(count, -1, 96).astype(float)


print("av", av.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
seen = {name: read(f"{name}.mp4") for name in ("h264", "hevc")}
for name, (width, height, count, flagged, rate, aspect) in seen.items():
    print(f"{name}: {count} frames of {width}x{height} ({flagged} interlaced), {rate:g} per second, pixels {aspect:g}:1")
woven = pictures(["-i", "hevc.mp4", "-vf", "weave=first_field=top"], 25)
whole = pictures([*source, "-vf", "format=yuv420p"], 25)
off = np.abs(woven - whole).mean()
print(f"woven: {woven.shape[0]} frames of 96x{woven.shape[1]}, {off:.2f} grey levels off the source")
if seen["h264"] != (96, 64, 25, 25, 25.0, 1.0) or woven.shape != whole.shape or off > 0:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["hevc"][:2] == (96, 64):
    sys.exit("CHANGED: fields of HEVC are woven")
if seen["hevc"] != (96, 32, 50, 50, 50.0, 1.0):
    sys.exit(f"CHANGED: {seen['hevc']}")
print("HOLDS: fields of HEVC are frames of half the height")
PY
