#!/usr/bin/env bash
# PyAV gives the frames of an H.264 AVI times that are out of order; the ffmpeg command does not.
#
# Guess:  container.decode() yields frames in the order in which they are shown, so frame.pts and frame.time grow, as they
#         do for the same stream in an MP4, and as `ffmpeg -i x.avi` lists them.
# Truth:  an AVI holds no times of display. PyAV always opens files with AVFMT_FLAG_GENPTS, by which FFmpeg guesses them
#         from the order of decoding, and for B-frames it guesses wrong: 1, 4, 3, 5, 2, 8, ... for pictures 0, 1, 2, ...
#         Whoever takes the picture on the screen at a time, or sorts by it, gets a stutter; no error, no warning.
#         frame.dts grows by one a frame and is what the ffmpeg command shows. AVIs of XviD with packed B-frames are
#         alike; without B-frames the two agree but for a constant.
# Seen:   av 18.1.0 (FFmpeg 8.1), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2)
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

count, size = 48, 64
source = b"".join(bytes([20 + 4 * number]) * size * size for number in range(count))
ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"]
raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{size}x{size}", "-r", "24", "-i", "-"]
coder = ["-c:v", "libx264", "-crf", "1", "-bf", "3", "-pix_fmt", "yuv420p", "-threads", "1"]
for name in ("a.avi", "a.mp4"):
    subprocess.run([*ffmpeg, *raw, *coder, name], input=source, check=True)


def pictures(name):
    """(number of the picture, pts, dts) of each frame that the decoder yields."""
    with av.open(name) as container:
        for frame in container.decode(video=0):
            grey = frame.to_ndarray(format="gray").mean()
            yield round((grey - 20) / 4), frame.pts, frame.dts


def by_command(name):
    """The times that the ffmpeg command gives the frames."""
    command = [*ffmpeg[:1], "-v", "error", "-i", name, "-fps_mode", "passthrough", "-copyts", "-f", "framemd5", "-"]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    return [int(line.split(",")[2]) for line in lines if not line.startswith("#")]


print("av", av.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
avi, mp4 = list(pictures("a.avi")), list(pictures("a.mp4"))
numbers, times, decoding = ([entry[place] for entry in avi] for place in range(3))
commands = by_command("a.avi")
print("pictures", numbers[:10])
print("PyAV pts", times[:10])
print("PyAV dts", decoding[:10])
print("ffmpeg  ", commands[:10])
if numbers != list(range(count)) or [pts for _, pts, _ in mp4] != sorted(pts for _, pts, _ in mp4):
    sys.exit("CHANGED: what it is compared with does not hold")
if commands != sorted(commands):
    sys.exit("CHANGED: the ffmpeg command, too, gives times out of order")
if times == sorted(times):
    sys.exit("CHANGED: the times of an AVI's frames are in order")
back = sum(after < before for before, after in zip(times, times[1:]))
print(f"HOLDS: {back} of {count} times go back")
PY
