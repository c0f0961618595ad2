#!/usr/bin/env bash
# MoviePy leaves out a video's last frame, depending on its length and rate.
#
# Guess:  VideoFileClip(file).iter_frames() gives every frame of a file with a constant rate, and write_videofile writes as many.
# Truth:  the length is the one that ffmpeg prints, rounded to hundredths of a second (8.33 for 200 frames at 24 a second), and
#         the number of frames is the whole part of length times rate: 199. Where it is rounded down the last frame is lost,
#         without a warning: of 200 frames at 24, 60, 29.97 and 23.976 a second, not at 30 (6.67), and never at 25 and 50, whose
#         frames are whole hundredths. get_frame(199 / 24) has it.
# Seen:   moviepy 2.2.1, imageio-ffmpeg 0.8.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet moviepy==2.2.1 imageio-ffmpeg==0.8.1 numpy==2.4.6
venv/bin/python - <<'PY'
import contextlib
import importlib.metadata
import io
import subprocess
import sys

import imageio_ffmpeg
import moviepy

print("moviepy", importlib.metadata.version("moviepy"), "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"]
source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "32x32"]
count = 200
pictures = b"".join(bytes([number]) * 32 * 32 for number in range(count))
seen = {}
for rate in ("24", "25", "30", "50", "60", "30000/1001", "24000/1001"):
    command = [*ffmpeg, *source, "-r", rate, "-i", "-", "-c:v", "libx264", "-crf", "0", "clip.mp4"]
    subprocess.run(command, input=pictures, check=True)
    with contextlib.redirect_stdout(io.StringIO()), moviepy.VideoFileClip("clip.mp4") as clip:
        frames = [round(frame.mean()) for frame in clip.iter_frames()]
        last = round(clip.get_frame((count - 1) / clip.fps).mean())
        seen[rate] = (len(frames), frames == list(range(len(frames))), last)
        length = clip.duration
    print(f"{rate:11} a second: length {length}, {len(frames)} of {count} frames, get_frame has number {last}")
if any(not in_order or last != count - 1 for _, in_order, last in seen.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
lost = [rate for rate, (found, _, _) in seen.items() if found == count - 1]
if lost != ["24", "60", "30000/1001", "24000/1001"] or any(seen[rate][0] != count for rate in ("25", "30", "50")):
    sys.exit(f"CHANGED: a frame is lost at {lost}")
print("HOLDS: 199 of 200 frames at 24, 60, 29.97 and 23.976 a second")
PY
