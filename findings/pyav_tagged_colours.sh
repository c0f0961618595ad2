#!/usr/bin/env bash
# A PyAV stream that is said to be BT.709 is still encoded by BT.601, and its label changes the colours.
#
# Guess:  codec_context.colorspace = BT.709 makes the encoder turn RGB frames into BT.709, as the ffmpeg command does with
#         -colorspace bt709; what is read back is what was written.
# Truth:  it only labels the file. encode() converts rgb24 frames with the scaler's default, BT.601, and every reader believes the
#         label: a red of (220, 20, 20) comes back as (237, 39, 16), a green of (20, 200, 20) as (6, 171, 13). Without a
#         label they come back right, and with one if the frame is converted first: frame.reformat(dst_colorspace=...).
# Seen:   av 18.1.0, opencv 5.0.0.93, FFmpeg 9.0.2
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 opencv-python-headless==5.0.0.93 imageio-ffmpeg==0.8.1 numpy==2.4.6
venv/bin/python - <<'PY'
import subprocess
import sys

import av
import cv2
import imageio_ffmpeg
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print("av", av.__version__, "opencv", cv2.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
colours = [(220, 20, 20), (20, 200, 20), (30, 60, 200)]
size = (1280, 720)


def frames():
    for colour in colours:
        yield av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), colour, np.uint8), format="rgb24")


def by_pyav(name, label, convert):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "4"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if label:
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1  # BT.709, limited
        for frame in frames():
            if convert:
                frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def by_ffmpeg(name):
    raw = b"".join(frame.to_ndarray().tobytes() for frame in frames())
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", "8", "-i", "-"]
    labels = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    command = [ffmpeg, "-v", "fatal", *source, *labels, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "4", name]
    subprocess.run(command, input=raw, check=True)


def read(name):
    with av.open(name) as container:
        found = [frame.to_ndarray(format="rgb24")[100, 100].tolist() for frame in container.decode(video=0)]
    capture = cv2.VideoCapture(name)
    return found, [capture.read()[1][100, 100, ::-1].tolist() for _ in colours]


by_pyav("unlabelled.mp4", label=False, convert=False)
by_pyav("labelled.mp4", label=True, convert=False)
by_pyav("converted.mp4", label=True, convert=True)
by_ffmpeg("ffmpeg.mp4")
print("written          ", [list(colour) for colour in colours])
error = {}
for name in ("unlabelled.mp4", "converted.mp4", "ffmpeg.mp4", "labelled.mp4"):
    with_av, with_cv = read(name)
    print(f"{name:17} PyAV {with_av}   OpenCV {with_cv}")
    error[name] = min(int(np.abs(np.subtract(found, colours)).max()) for found in (with_av, with_cv))
if max(error[name] for name in ("unlabelled.mp4", "converted.mp4", "ffmpeg.mp4")) > 3:
    sys.exit("CHANGED: what it is compared with does not hold")
if error["labelled.mp4"] < 15:
    sys.exit("CHANGED: the label converts")
print("HOLDS: the label changes colours by", error["labelled.mp4"])
PY
