#!/usr/bin/env bash
# The white of an ordinary 10-bit video is 253 in rgb24, that of an 8-bit one 255.
#
# Guess:  black, gray and white of a 10-bit video are those of the same video in 8 bits, at worst one level apart: white is
#         (255, 255, 255).
# Truth:  FFmpeg's scaler, as it is by default in PyAV and in the ffmpeg command, makes 253 of the white (940) of limited
#         range, 126 of 128 and 38 of 40: all but black is too dark, and no pixel is white. It is right with the flags
#         accurate_rnd+full_chroma_int, or to gbrp instead of rgb24. At 8 bits it is accurate_rnd alone that loses white. With
#         16 bits a channel (rgb48le) white is 65021 or 65283 of 65535, with the flags, too, unless the video is made
#         yuv444p16le of full range first. So clips from phones and masters in 10-bit HEVC or AV1 differ from the same in 8
#         bits by more than their compression, in every mean and PSNR.
# Seen:   av 18.1.0, FFmpeg 9.0.2
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

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print("av", av.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
greys = (0, 0.155, 0.5, 0.749, 1)
for name, form, bits in (("8.mkv", "yuv420p", 8), ("10.mkv", "yuv420p10le", 10)):
    with av.open(name, "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.color_range = form, 1
        for grey in greys:
            planes = np.full((96, 64), 1 << (bits - 1), np.uint8 if bits == 8 else np.uint16)
            planes[:64] = round((16 + 219 * grey) * 2 ** (bits - 8))
            frame = av.VideoFrame.from_ndarray(planes, format=form)
            frame.color_range = 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def by_ffmpeg(name, form, flags):
    options = ["-vf", f"scale=64:64:flags={flags},format={form}"] if flags else ["-pix_fmt", form]
    command = [ffmpeg, "-v", "fatal", "-i", name, *options, "-f", "rawvideo", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, "<u2" if "48" in form else "u1").reshape(len(greys), -1)[:, 0].tolist()


seen = {}
for name in ("8.mkv", "10.mkv"):
    with av.open(name) as container:
        seen[name, "PyAV"] = [int(frame.to_ndarray(format="rgb24")[0, 0, 0]) for frame in container.decode(video=0)]
    seen[name, "ffmpeg"] = by_ffmpeg(name, "rgb24", "")
    seen[name, "accurate_rnd"] = by_ffmpeg(name, "rgb24", "bicubic+accurate_rnd")
    seen[name, "both flags"] = by_ffmpeg(name, "rgb24", "bicubic+accurate_rnd+full_chroma_int")
    seen[name, "gbrp"] = by_ffmpeg(name, "gbrp", "")
    seen[name, "rgb48le"] = by_ffmpeg(name, "rgb48le", "")
    seen[name, "rgb48le, both flags"] = by_ffmpeg(name, "rgb48le", "bicubic+accurate_rnd+full_chroma_int")
print("wanted", [round(255 * grey) for grey in greys])
for (name, how), values in seen.items():
    print(f"{name:7} {how:20} {values}")
white = {key: values[-1] for key, values in seen.items()}
if any(white[name, how] != 255 for name in ("8.mkv", "10.mkv") for how in ("both flags", "gbrp")):
    sys.exit("CHANGED: what it is compared with does not hold")
if white["8.mkv", "PyAV"] != 255 or white["8.mkv", "ffmpeg"] != 255:
    sys.exit("CHANGED: the white of 8 bits is not 255")
if white["10.mkv", "PyAV"] != 253 or white["10.mkv", "ffmpeg"] != 253 or white["8.mkv", "accurate_rnd"] != 253:
    sys.exit(f"CHANGED: white is {white}")
if any(white[name, how] > 65300 for name in ("8.mkv", "10.mkv") for how in ("rgb48le", "rgb48le, both flags")):
    sys.exit(f"CHANGED: white of 16 bits is {white}")
print("HOLDS: white is 253")
PY
