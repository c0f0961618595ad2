#!/usr/bin/env bash
# As grayf32 a video's black is 0.0625 and its white 0.918, as gray and gray16 they are 0 and all.
#
# Guess:  the float format of gray is gray8 / 255: black is 0 and white 1, as in gray, gray10, gray16 and in gbrpf32.
# Truth:  FFmpeg stretches the luma of an ordinary video (16 to 235) for all formats of whole numbers in gray, and not for
#         grayf32le, where it stays as it is stored. Numbers between 0 and 1 look right: masks and depth maps read by a
#         threshold, optical flow, SSIM and statistics of brightness are taken of pictures with 6/7 of the contrast. A
#         full-range video is stretched in none. 8-bit white is also not the greatest value of other formats with more bits:
#         65021 of 65535 in rgb48le, 0.9962 in gbrpf32le.
# Seen:   av 18.1.0 (FFmpeg 8.1), FFmpeg 9.0.2
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

print("av", av.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
for name, color_range, values in (("ordinary.mp4", "tv", (16, 126, 235)), ("full.mp4", "pc", (0, 128, 255))):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"qp": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.color_range = 1 if color_range == "tv" else 2
        for value in values:
            planes = np.full((96, 64), 128, np.uint8)
            planes[:64] = value
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.color_range = stream.color_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
tops = {"gray": 255, "gray10le": 1023, "gray16le": 65535, "grayf32le": 1, "rgb24": 255, "rgb48le": 65535, "gbrpf32le": 1}
seen = {}
for name in ("ordinary.mp4", "full.mp4"):
    for form, top in tops.items():
        with av.open(name) as container:
            values = [float(frame.reformat(format=form).to_ndarray().reshape(-1)[0]) / top for frame in container.decode(video=0)]
        kind = {"gray": "u1", "rgb24": "u1", "grayf32le": "<f4", "gbrpf32le": "<f4"}.get(form, "<u2")
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "fatal", "-i", name, "-pix_fmt", form, "-f", "rawvideo", "-"]
        raw = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, kind).reshape(3, -1)[:, 0] / top
        seen[name, form] = [round(value, 4) for value in values], [round(float(value), 4) for value in raw]
        print(f"{name:13} {form:10} black, gray, white: PyAV {seen[name, form][0]}, ffmpeg {seen[name, form][1]}")
for form in tops:
    for name in ("ordinary.mp4", "full.mp4"):
        if name == "full.mp4" or form != "grayf32le":
            for found in seen[name, form]:
                if abs(found[0]) > 0.001 or found[2] < 0.99:
                    sys.exit(f"CHANGED: {name} in {form}: {found}")
for found in seen["ordinary.mp4", "grayf32le"]:
    if abs(found[0] - 0.0625) > 0.002 or abs(found[2] - 0.918) > 0.01:
        sys.exit(f"CHANGED: grayf32le: {found}")
print("HOLDS: in grayf32le black is 0.0625 and white 0.918")
PY
