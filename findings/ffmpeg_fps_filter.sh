#!/usr/bin/env bash
# ffmpeg's fps filter shows each moment up to half an output interval too early; a video's first frame is lost.
#
# Guess:  -vf fps=8 of a 24 fps video gives frames 0, 3, 6, ...: what is on the screen at 0, 1/8, 2/8 s.
# Truth:  times are rounded to the NEAREST output time and the last frame that lands there wins: frames 1, 4, 7, ... At
#         60 fps it is 3, 11, 18, ...: pictures from up to 1/16 s later than their time, and none of what was before.
#         Labels, captions and cuts given in seconds are off against the frames, by an amount that depends on the
#         source's rate. The output option -r 8 picks yet others. round=up gives 0, 3, 6 at 24 fps.
# Seen:   FFmpeg 9.0.2, the binary of imageio-ffmpeg 0.8.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1
venv/bin/python - <<'PY'
import subprocess
import sys

import imageio_ffmpeg

print("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
size = 16 * 16


def sampled(rate, *options, count=48):
    """The numbers of the source's frames in the output: frame i is a picture of grey i."""
    source = b"".join(bytes([number]) * size for number in range(count))
    raw = ["-f", "rawvideo", "-pix_fmt", "gray"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *raw, "-s", "16x16", "-r", str(rate), "-i", "-"]
    output = subprocess.run([*command, *options, *raw, "-"], input=source, capture_output=True, check=True).stdout
    return [output[start] for start in range(0, len(output), size)]


shown = {
    (rate, " ".join(options)): sampled(rate, *options)
    for rate in (24, 60)
    for options in (("-vf", "fps=8"), ("-vf", "fps=8:round=up"), ("-r", "8"))
}
for (rate, options), numbers in shown.items():
    late = max(number / rate - index / 8 for index, number in enumerate(numbers))
    print(f"{rate} fps, {options:20} frames {numbers}, at most {late * 1000:.0f} ms after their time")
if shown[24, "-vf fps=8"][:3] != [1, 4, 7] or shown[60, "-vf fps=8"][:3] != [3, 11, 18]:
    sys.exit("CHANGED: the fps filter picks other frames")
if shown[24, "-vf fps=8:round=up"][:3] != [0, 3, 6]:
    sys.exit("CHANGED: round=up picks other frames")
if shown[60, "-r 8"] == shown[60, "-vf fps=8"]:
    sys.exit("CHANGED: -r and the filter agree")
print("HOLDS: fps=8 of 24 fps gives frames 1, 4, 7, of 60 fps 3, 11, 18")
PY
