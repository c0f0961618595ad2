#!/usr/bin/env bash
# A pause in an MP4's edit list plays the video's beginning once more.
#
# Guess:  an edit list "half a second of the video, a second of nothing, the second half of the video" is read with a
#         gap: frames 0 to 11, no frame for a second, frames 24 to 35. An empty edit at the beginning is read so.
# Truth:  behind another edit, FFmpeg takes the empty one (media time -1) for one that begins there: its second is filled
#         with frames 0 to 23, in the ffmpeg command, in PyAV, and in what else is built on libavformat. The number of
#         frames and the length look right. The command warns of a missing key frame "while searching for timestamp: -1"
#         and ends well; PyAV, whose log is off by default, says nothing.
# Seen:   av 18.1.0 (FFmpeg 8.1), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 imageio-ffmpeg==0.8.1 numpy==2.4.6
venv/bin/python - <<'PY'
import struct
import subprocess
import sys

import av
import imageio_ffmpeg
import numpy as np

size = 64
ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "warning"]
raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{size}x{size}", "-r", "24", "-i", "-"]
source = b"".join(bytes([20 + 4 * number]) * size * size for number in range(48))
coder = ["-c:v", "libx264", "-crf", "1", "-bf", "0", "-g", "12", "-pix_fmt", "yuv420p", "-threads", "1"]
subprocess.run([*ffmpeg, *raw, *coder, "whole.mp4"], input=source, check=True)
data = open("whole.mp4", "rb").read()  # its moov box is the last one


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_edits(name, edits):
    """The video with another edit list: (seconds, where they begin in the media or None for nowhere)."""
    media, movie = (struct.unpack_from(">I", data, data.index(kind) + 16)[0] for kind in (b"mdhd", b"mvhd"))
    entries = b"".join(
        struct.pack(">IiI", int(seconds * movie), -1 if start is None else int(start * media), 1 << 16)
        for seconds, start in edits
    )
    old = data.index(b"edts") - 4
    (length,) = struct.unpack_from(">I", data, old)
    new = box(b"edts", box(b"elst", struct.pack(">II", 0, len(edits)) + entries))
    changed = bytearray(data[:old] + new + data[old + length :])
    for kind in (b"moov", b"trak"):
        at = data.index(kind) - 4
        struct.pack_into(">I", changed, at, struct.unpack_from(">I", data, at)[0] + len(new) - length)
    open(name, "wb").write(changed)


def by_pyav(name):
    with av.open(name) as container:
        frames = list(container.decode(video=0))
    levels = (float(frame.to_ndarray(format="gray").mean()) for frame in frames)
    return [(round(float(frame.time), 3), round((level - 20) / 4)) for frame, level in zip(frames, levels)]


def by_command(name):
    command = [*ffmpeg, "-i", name, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(-1, size * size)
    return [round((float(picture.mean()) - 20) / 4) for picture in pictures], done.stderr.decode().strip()


print("av", av.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
first, second = list(range(12)), list(range(24, 36))
with_edits("pieces.mp4", [(0.5, 0), (0.5, 1)])
with_edits("late.mp4", [(1, None), (0.5, 0), (0.5, 1)])
with_edits("pause.mp4", [(0.5, 0), (1, None), (0.5, 1)])
seen = {}
for name in ("pieces", "late", "pause"):
    frames, (numbers, said) = by_pyav(f"{name}.mp4"), by_command(f"{name}.mp4")
    seen[name] = [number for _, number in frames]
    print(f"{name:6} PyAV:   from {frames[0][0]} s to {frames[-1][0]} s, frames {seen[name]}")
    print(f"       ffmpeg: frames {'the same' if numbers == seen[name] else numbers}; it says {said or 'nothing'}")
    if numbers != seen[name]:
        sys.exit("CHANGED: PyAV and the ffmpeg command differ")
if seen["pieces"] != first + second or seen["late"] != first + second:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["pause"] == first + second:
    sys.exit("CHANGED: a pause is a pause")
if seen["pause"] != first + list(range(24)) + second:
    sys.exit(f"CHANGED: a pause gives {seen['pause']}")
print("HOLDS: the second of nothing shows frames 0 to 23")
PY
