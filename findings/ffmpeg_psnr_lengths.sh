#!/usr/bin/env bash
# ffmpeg's psnr and ssim filters compare videos of different lengths and rates, and say nothing.
#
# Guess:  of two videos whose frames do not correspond, one twice as long, the filters compare those that both have, or stop.
# Truth:  they pair frames by time and repeat the last one of the shorter: 16 frames that are equal (infinite PSNR) and 16
#         that were compared with a still picture give 21 dB for a video that is only cut short, whichever of the two it is, and
#         the file of statistics has 32 rows. The same 240 frames said to be 24 and 25 a second give 21 dB, too, since
#         others are compared. Nothing is printed in any case; shortest=1 helps against the first.
# Seen:   FFmpeg 9.0.2 (imageio-ffmpeg 0.8.1); the documentation says it in another chapter, on "framesync"
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1
venv/bin/python - <<'PY'
import re
import subprocess
import sys

import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-hide_banner"]


def run(*words):
    return subprocess.run([*ffmpeg, *words], check=True, capture_output=True, text=True).stderr


def compared(first, second, metric, options=""):
    """(value, number of compared pairs, lines with a warning)."""
    said = run("-i", first, "-i", second, "-lavfi", f"{metric}=stats_file=rows.txt{options}", "-f", "null", "-")
    value = re.search(r"average:(\S+)" if metric == "psnr" else r"All:(\S+)", said)[1]
    warned = [line for line in said.splitlines() if re.search("warn|differ|mismatch|short", line, re.I)]
    return float(value), len(open("rows.txt").readlines()), warned


print("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
run("-f", "lavfi", "-i", "testsrc2=s=64x64:r=8:d=4", "-c:v", "ffv1", "whole.mkv")
run("-i", "whole.mkv", "-t", "2", "-c", "copy", "half.mkv")
run("-f", "lavfi", "-i", "testsrc2=s=64x64:r=24:d=10", "-c:v", "ffv1", "at24.mkv")
run("-r", "25", "-i", "at24.mkv", "-c:v", "ffv1", "at25.mkv")
seen = {
    "whole, whole": compared("whole.mkv", "whole.mkv", "psnr"),
    "whole, half": compared("whole.mkv", "half.mkv", "psnr"),
    "half, whole": compared("half.mkv", "whole.mkv", "psnr"),
    "whole, half, shortest": compared("whole.mkv", "half.mkv", "psnr", ":shortest=1"),
    "whole, half by ssim": compared("whole.mkv", "half.mkv", "ssim"),
    "24 and 25 a second": compared("at24.mkv", "at25.mkv", "psnr"),
}
for name, what in seen.items():
    print(f"{name:22} {what}")
infinite = float("inf")
if seen["whole, whole"][:2] != (infinite, 32) or seen["whole, half, shortest"][0] != infinite:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(warned for _, _, warned in seen.values()):
    sys.exit("CHANGED: ffmpeg says something of it")
for name in ("whole, half", "half, whole"):
    if seen[name][1] != 32 or not 18 < seen[name][0] < 24:
        sys.exit("CHANGED: the shorter one is not repeated")
if seen["whole, half by ssim"][1] != 32 or seen["whole, half by ssim"][0] > 0.95:
    sys.exit("CHANGED: ssim does otherwise")
if not 18 < seen["24 and 25 a second"][0] < 24:
    sys.exit("CHANGED: frames are paired by number")
print("HOLDS: a video that was cut short, and one at another rate, get 21 dB without a word")
PY
